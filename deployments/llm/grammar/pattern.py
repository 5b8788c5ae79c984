"""ECMAScript's regular expressions, as far as an automaton can hold them.

JSON Schema's ``pattern`` looks for a match anywhere in the text. What needs a memory (references
back), looks behind, or looks ahead in the middle is `NotRegular`: it is validated afterwards.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from deployments.llm.grammar.automaton import (
    ANY,
    Automaton,
    GrammarTooLarge,
    Ranges,
    Work,
    from_closures,
    overlap,
    together,
    union,
    without,
)

DIGITS: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACE: Ranges = (
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
CLASSES = {"d": DIGITS, "w": WORD, "s": SPACE}
CONTROLS = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D, "0": 0x00}
HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
COUNT = re.compile(r"\{(\d{1,6})(?:(,)(\d{1,6})?)?\}")
GROUP = re.compile(r"\((?:\?:|\?<[A-Za-z_]\w*>)?(?!\?)")
AHEAD = re.compile(r"\(\?([=!])")
MOST_STEPS = 6000
"""States of the automaton before it is made deterministic."""
DEEPEST = 50
MOST_AHEAD = 6


class NotRegular(Exception):
    """An automaton cannot hold this, or not with few states."""


@dataclass
class _Steps:
    """Thompson's construction: arrows that read, and free ones: always, only at the beginning
    (``^``), only at the end (``$``)."""

    reads: dict[int, list[tuple[Ranges, int]]] = field(default_factory=dict)  # pyright: ignore
    free: dict[int, list[tuple[str, int]]] = field(default_factory=dict)  # pyright: ignore
    count: int = 0

    def new(self) -> int:
        self.count += 1
        if self.count > MOST_STEPS:
            raise NotRegular
        return self.count

    def read(self, source: int, ranges: Ranges, target: int) -> None:
        self.reads.setdefault(source, []).append((ranges, target))

    def jump(self, source: int, target: int, when: str = "") -> None:
        self.free.setdefault(source, []).append((when, target))


Piece = Callable[[_Steps, int], int]
"""Adds itself behind a state and returns the state where it ends."""


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def whole(self) -> Piece:
        piece = self.choice()
        if self.at < len(self.text):
            raise NotRegular
        return piece

    def choice(self) -> Piece:
        self.depth += 1
        if self.depth > DEEPEST:
            raise NotRegular
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        self.depth -= 1
        return options[0] if len(options) == 1 else _choice(options)

    def _sequence(self) -> Piece:
        pieces: list[Piece] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            pieces.append(self._repeated(*self._atom()))
        return _sequence(pieces)

    def _atom(self) -> tuple[Piece, bool]:
        """A piece, and whether it may be repeated."""
        if group := GROUP.match(self.text, self.at):
            self.at = group.end()
            piece = self.choice()
            if not self._take(")"):
                raise NotRegular
            return piece, True
        letter = self.text[self.at]
        self.at += 1
        if letter in "^$":
            return _anchor(letter), False
        if letter == ".":
            return _reading(without(ANY, LINE_ENDS)), True
        if letter == "[":
            return _reading(self._class()), True
        if letter == "\\":
            return _reading(self._escape()), True
        if letter in "(*+?)":
            raise NotRegular
        return _reading(_only(ord(letter))), True

    def _repeated(self, piece: Piece, may: bool) -> Piece:
        least, most = 1, 1
        found = COUNT.match(self.text, self.at)
        if found:
            self.at = found.end()
            least = int(found[1])
            most = int(found[3]) if found[3] else None if found[2] else least
        elif self.at < len(self.text) and self.text[self.at] in "*+?":
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self.text[self.at]]
            self.at += 1
        else:
            return piece
        if not may or (most is not None and most < least):
            raise NotRegular
        self._take("?")  # a lazy repetition accepts the same texts
        if COUNT.match(self.text, self.at) or self.text[self.at : self.at + 1] in ("*", "+", "?"):
            raise NotRegular
        return _times(piece, least, most)

    def _class(self) -> Ranges:
        refuse = self._take("^")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            first = self._member()
            ahead = self.text[self.at : self.at + 2]
            if ahead[:1] == "-" and ahead[1:] not in ("]", ""):
                self.at += 1
                last = self._member()
                if not (_single(first) and _single(last)) or first[0][0] > last[0][0]:
                    raise NotRegular
                ranges.append((first[0][0], last[0][0]))
            else:
                ranges += first
        found = overlap(ANY, union(ranges))
        return without(ANY, found) if refuse else found

    def _member(self) -> Ranges:
        if self.at >= len(self.text):
            raise NotRegular
        letter = self.text[self.at]
        self.at += 1
        if letter != "\\":
            return _only(ord(letter))
        if self._take("b"):
            return _only(0x08)
        return self._escape()

    def _escape(self) -> Ranges:
        if found := HEX.match(self.text, self.at):
            self.at = found.end()
            code = int(next(filter(None, found.groups())), 16)
            return _only(code)
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        if letter in CLASSES:
            return CLASSES[letter]
        if letter and letter.lower() in CLASSES:
            return without(ANY, CLASSES[letter.lower()])
        if letter in CONTROLS and not self.text[self.at : self.at + 1].isdigit():
            return _only(CONTROLS[letter])
        if not letter or letter.isalnum():
            raise NotRegular
        return _only(ord(letter))

    def _take(self, letter: str) -> bool:
        if self.text[self.at : self.at + 1] != letter:
            return False
        self.at += 1
        return True


def automaton(pattern: str, work: Work) -> Automaton:
    """Of every text in which ``pattern`` is found. Raises `NotRegular`."""
    try:
        return _ahead(pattern, work) or _automaton(_Parser(pattern).whole(), work)
    except GrammarTooLarge as error:
        raise NotRegular from error


def _ahead(pattern: str, work: Work) -> Automaton | None:
    """Of a pattern that begins with ``^`` and looks ahead from there: each look is a pattern of its
    own that begins there too. None for any other."""
    at = 1
    looks: list[tuple[bool, str]] = []
    while pattern.startswith("^") and (look := AHEAD.match(pattern, at)):
        parser = _Parser(pattern)
        parser.at = look.end()
        parser.choice()
        if pattern[parser.at : parser.at + 1] != ")" or len(looks) == MOST_AHEAD:
            raise NotRegular
        looks.append((look[1] == "!", f"^(?:{pattern[look.end() : parser.at]})"))
        at = parser.at + 1
    if not looks:
        return None
    rest = _Parser(pattern[at:])
    whole = _automaton(_sequence([_anchor("^"), rest.whole()]), work)
    for refused, look in looks:
        beside = _automaton(_Parser(look).whole(), work)
        whole = together(whole, beside, work, minus=refused)
    return whole


def _automaton(piece: Piece, work: Work) -> Automaton:
    steps = _Steps()
    begin, found = steps.new(), steps.new()
    anywhere = steps.new()
    steps.jump(begin, anywhere)
    # A match begins here or later, and ends wherever it likes.
    later = steps.new()
    steps.read(begin, ANY, later)
    steps.read(later, ANY, later)
    steps.jump(later, anywhere)
    steps.jump(piece(steps, anywhere), found)
    steps.read(found, ANY, found)

    def closure(states: frozenset[int], passing: tuple[str, ...] = ("",)) -> frozenset[int]:
        seen, ahead = set(states), list(states)
        while ahead:
            for when, target in steps.free.get(ahead.pop(), ()):
                if when in passing and target not in seen:
                    seen.add(target)
                    ahead.append(target)
        return frozenset(seen)

    def keep(states: frozenset[int]) -> frozenset[int]:
        seen = closure(states)
        return frozenset({found}) if found in seen else seen  # nothing more is asked of the rest

    def accepts(states: frozenset[int]) -> bool:
        ends = ("", "$", "^") if begin in states else ("", "$")
        return found in closure(states, ends)

    start = closure(frozenset({begin}), ("", "^"))
    if found in start:
        start = frozenset({found})
    return from_closures(start, steps.reads, keep, accepts, work)


def _only(code: int) -> Ranges:
    if overlap(((code, code),), ANY):
        return ((code, code),)
    raise NotRegular


def _single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _reading(ranges: Ranges) -> Piece:
    def add(steps: _Steps, source: int) -> int:
        target = steps.new()
        steps.read(source, ranges, target)
        return target

    return add


def _anchor(letter: str) -> Piece:
    def add(steps: _Steps, source: int) -> int:
        target = steps.new()
        steps.jump(source, target, letter)
        return target

    return add


def _sequence(pieces: list[Piece]) -> Piece:
    def add(steps: _Steps, source: int) -> int:
        for piece in pieces:
            source = piece(steps, source)
        return source

    return add


def _choice(options: list[Piece]) -> Piece:
    def add(steps: _Steps, source: int) -> int:
        end = steps.new()
        for option in options:
            own = steps.new()
            steps.jump(source, own)
            steps.jump(option(steps, own), end)
        return end

    return add


def _times(piece: Piece, least: int, most: int | None) -> Piece:
    def add(steps: _Steps, source: int) -> int:
        for _ in range(least):
            source = piece(steps, source)
        if most is None:
            # States of its own: two loops at one state would read each other's texts.
            before, after = steps.new(), steps.new()
            steps.jump(source, before)
            steps.jump(before, after)
            steps.jump(piece(steps, before), before)
            return after
        end = steps.new()
        steps.jump(source, end)
        for _ in range(most - least):
            source = piece(steps, source)
            steps.jump(source, end)
        return end

    return add
