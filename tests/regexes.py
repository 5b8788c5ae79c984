"""Finds the regular expressions of a source tree, and strings that keep one of them busy.

A pattern is attacked, not proved: strings are made out of its own parts (what leads to a repeat,
what the repeat takes again and again, an end that does not fit) and grow until they are long
or the pattern has used more CPU than any that reads each letter a few times.
"""

import ast
import re
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

FUNCTIONS = (
    "compile",
    "match",
    "fullmatch",
    "search",
    "findall",
    "finditer",
    "sub",
    "subn",
    "split",
)
ANCHORED = {"match", "fullmatch"}
LENGTHS = (8, 14, 20, 26, 60, 150, 400, 900, 2_000, 6_000, 24_000)
"""A pattern with 2^n ways is known at 20, and not for ever; one with n squared at the last."""
TOO_LONG_S = 0.03
"""Of CPU. A pattern that reads 24,000 letters in linear time needs a twentieth of it."""


class Found(NamedTuple):
    """A pattern at ``where``, None when only running the program would tell, and its uses."""

    where: str
    pattern: str | None
    flags: int
    methods: frozenset[str]


def found_in(file: Path, root: Path) -> Iterator[Found]:
    """Every pattern that a file of Python hands to `re`."""
    tree = ast.parse(file.read_text())
    named = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        if (function := _of_re(node)) is None:
            continue
        assert isinstance(node, ast.Call)
        where = f"{file.relative_to(root)}:{node.lineno}"
        methods = _uses(tree, node) if function == "compile" else {function}
        yield Found(where, _text(node.args[0], named), _flags(node), frozenset(methods))


def _of_re(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name)) if name in FUNCTIONS:
            return name
    return None


def _text(node: ast.expr, named: dict[str, str]) -> str | None:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.Name(id=name):
            return named.get(name)
        case ast.FormattedValue(value=inner):
            return _text(inner, named)
        case ast.JoinedStr(values=parts):
            texts = [_text(part, named) for part in parts]
            return None if None in texts else "".join(filter(None, texts))
    return None


def _flags(call: ast.Call) -> int:
    names = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    return sum(
        {
            getattr(re, name).value
            for name in names
            if isinstance(getattr(re, name, 0), re.RegexFlag)
        }
    )


def _uses(tree: ast.Module, call: ast.Call) -> set[str]:
    """How the file applies a pattern that it compiles under a name; `search` is the worst."""
    names = {
        target.id
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is call
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in names
        and node.attr in FUNCTIONS
    }
    return used or {"search"}


def slow_on(
    pattern: str, flags: int = 0, methods: frozenset[str] = frozenset({"search"})
) -> str | None:
    """A string the pattern is too slow on, described; None when no attack worked."""
    compiled = re.compile(pattern, flags)
    apply = compiled.match if methods <= ANCHORED else compiled.search
    if methods <= {"fullmatch"}:
        apply = compiled.fullmatch
    prefixes, pumps = _parts(parser.parse(pattern, flags))
    for prefix, pump, suffix in product(prefixes, pumps, ("", "\x01")):
        for length in LENGTHS:
            text = prefix + pump * (length // len(pump)) + suffix
            if _seconds(apply, text) > TOO_LONG_S and _seconds(apply, text) > TOO_LONG_S:
                return f"{prefix!r} + {pump!r} * {length // len(pump)} + {suffix!r}"
    return None


def _seconds(apply: Callable[[str], object], text: str) -> float:
    began = time.thread_time()
    apply(text)
    return time.thread_time() - began


def _parts(tree: Any) -> tuple[list[str], list[str]]:
    """What may lead into the pattern's repeats, and what may be repeated."""
    prefixes, pumps = {""}, {"a", "1", " ", "\n"}
    for before, inner in _sequences(tree, ""):
        texts = [_sample(item) for item in inner]
        for start, item in enumerate(inner):
            pumps |= _letters(item)
            if start and _in_a_word(inner, start):
                continue
            prefixes.add(before + "".join(texts[:start]))
            for end in range(start + 1, min(len(inner), start + 24) + 1):
                if end == len(inner) or not _in_a_word(inner, end):
                    pumps.add("".join(texts[start:end]))
    pumps |= {prefix[-40:] for prefix in prefixes}
    return ["", *sorted(prefixes, key=len)[-10:]], sorted(filter(None, pumps), key=len)[:80]


def _in_a_word(items: list[Any], place: int) -> bool:
    """Whether there are letters of the pattern's own on both sides: those are taken together."""
    return items[place - 1][0] is items[place][0] is constants.LITERAL


def _sequences(tree: Any, before: str) -> Iterator[tuple[str, list[Any]]]:
    items = list(tree)
    yield before, items
    for number, (kind, value) in enumerate(items):
        lead = before + "".join(map(_sample, items[:number]))
        if kind is constants.SUBPATTERN:
            yield from _sequences(value[3], lead)
        elif kind is constants.BRANCH:
            for way in value[1]:
                yield from _sequences(way, lead)
        elif kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            yield from _sequences(value[2], lead)


def _letters(item: Any) -> set[str]:
    """Single letters that a class of the pattern takes."""
    kind, value = item
    if kind is constants.LITERAL:
        return {chr(value)}
    if kind is constants.NOT_LITERAL:
        return {next(c for c in "a1 <" if ord(c) != value)}
    if kind is constants.ANY:
        return {"a", "<"}
    if kind is constants.IN:
        text = "".join(map(chr, range(1, 256)))
        whole = re.compile(_class(value))
        return {
            c for c in ("a", "1", " ", "\n", "-", "[", "'", '"', ".", ",") if whole.match(c)
        } or {next((c for c in text if whole.match(c)), "a")}
    if kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
        return {letter for inner in value[2] for letter in _letters(inner)}
    return set()


def _class(items: Any) -> str:
    """A class of the parsed pattern, written again."""
    parts: list[str] = []
    for kind, value in items:
        if kind is constants.NEGATE:
            parts.append("^")
        elif kind is constants.LITERAL:
            parts.append(re.escape(chr(value)))
        elif kind is constants.RANGE:
            parts.append(f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}")
        else:
            parts.append({"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}.get(str(value)[9:], r"\W"))
    return f"[{''.join(parts)}]"


def _sample(item: Any) -> str:
    """A short string that a part of a pattern takes."""
    kind, value = item
    if kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
        return "".join(map(_sample, value[2])) * max(1, value[0])
    if kind is constants.SUBPATTERN:
        return "".join(map(_sample, value[3]))
    if kind is constants.BRANCH:
        return max(("".join(map(_sample, way)) for way in value[1]), key=len)
    return min(_letters(item), default="")
