"""Grammars as values, and their text in llama.cpp's notation (GBNF)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from deployments.llm.grammar.automaton import Automaton, Ranges, overlap, without

CONTROL: Ranges = ((0, 0x1F),)
QUOTED: Ranges = ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C))
SHORT = {0x22: '"', 0x5C: "\\", 0x08: "b", 0x0C: "f", 0x0A: "n", 0x0D: "r", 0x09: "t"}


@dataclass(frozen=True)
class Lit:
    text: str


@dataclass(frozen=True)
class Term:
    """What an automaton accepts: as it is, or (``quoted``) as the content of a JSON string."""

    automaton: Automaton
    quoted: bool = False
    apart: bool = False
    """The name of a property: none that stands beside it is accepted too."""


@dataclass(frozen=True)
class Ref:
    name: str


@dataclass(frozen=True)
class Seq:
    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Alt:
    """``apart``: of ways that begin with names of properties, which differ, one goes on."""

    options: "tuple[Node, ...]"
    apart: bool = False


Node = Lit | Term | Ref | Seq | Alt
Rules = dict[str, Node]
EMPTY = Seq(())


def text_of(rules: Mapping[str, Node], root: str) -> str:
    """The whole grammar, its ``root`` under that name."""
    return _Writer(rules).write(root)


class _Writer:
    def __init__(self, rules: Mapping[str, Node]) -> None:
        self._rules = rules
        self._names: dict[object, str] = {}
        self._ahead: list[tuple[str, Node]] = []
        self._escapes: dict[Ranges, str] = {}
        self._lines: list[str] = []

    def write(self, root: str) -> str:
        self._lines.append(f"root ::= {self._named(Ref(root))}")
        while self._ahead:
            name, node = self._ahead.pop()
            if isinstance(node, Term):
                self._lines += self._states(name, node)
            else:
                self._lines.append(f"{name} ::= {self._inline(node)}")
        return "\n".join(self._lines) + "\n"

    def _inline(self, node: Node) -> str:
        if isinstance(node, Lit):
            return _literal(node.text)
        if isinstance(node, Seq):
            return " ".join(self._grouped(part) for part in node.parts) or '""'
        if isinstance(node, Alt):
            return " | ".join(self._inline(option) for option in node.options)
        return self._named(node)

    def _grouped(self, node: Node) -> str:
        inner = self._inline(node)
        return f"({inner})" if isinstance(node, Alt) else inner

    def _named(self, node: "Ref | Term") -> str:
        if node not in self._names:
            self._names[node] = f"r{len(self._names)}"
            target = self._rules[node.name] if isinstance(node, Ref) else node
            self._ahead.append((self._names[node], target))
        return self._names[node]

    def _states(self, name: str, term: Term) -> Iterator[str]:
        """A rule for each state: it reads one character and goes on with the next state's."""
        for state in range(len(term.automaton.edges)):
            options = list(self._moves(name, state, term))
            if state in term.automaton.accepts:
                options.append('"\\""' if term.quoted else '""')
            yield f"{_state(name, state)} ::= {' | '.join(options)}"

    def _moves(self, name: str, state: int, term: Term) -> Iterator[str]:
        for target, ranges in term.automaton.targets(state).items():
            plain = without(ranges, QUOTED) if term.quoted else ranges
            if plain:
                yield f"{_class(plain)} {_state(name, target)}"
            if term.quoted and (special := overlap(ranges, QUOTED)):
                yield f'"\\\\" {self._escaped(special)} {_state(name, target)}'

    def _escaped(self, special: Ranges) -> str:
        """The rule of what follows a backslash: it is long, and thousands of states share it."""
        if special not in self._escapes:
            self._escapes[special] = f"e{len(self._escapes)}"
            self._lines.append(f"{self._escapes[special]} ::= {_escapes(special)}")
        return self._escapes[special]


def _state(name: str, state: int) -> str:
    return f"{name}-{state}" if state else name


def _escapes(special: Ranges) -> str:
    codes = [code for low, high in special for code in range(low, high + 1)]
    short = "".join(SHORT[code] for code in codes if code in SHORT)
    options = [_class(tuple((ord(c), ord(c)) for c in short))] if short else []
    options += [_literal(f"u{code:04x}") for code in codes if code not in SHORT]
    return " | ".join(options)


@lru_cache(256)
def _class(ranges: Ranges) -> str:
    return f"[{''.join(_span(low, high) for low, high in ranges)}]"


def _span(low: int, high: int) -> str:
    return _code(low) if low == high else f"{_code(low)}-{_code(high)}"


def _code(code: int) -> str:
    if chr(code).isalnum() and code < 0x80:
        return chr(code)
    return f"\\x{code:02X}" if code < 0x100 else f"\\U{code:08X}"


def _literal(text: str) -> str:
    def letter(code: int) -> str:
        if code in (0x22, 0x5C):
            return f"\\{chr(code)}"
        return chr(code) if 0x20 <= code < 0x7F else _code(code)

    return f'"{"".join(letter(ord(c)) for c in text)}"'


def first_of(automaton: Automaton, quoted: bool) -> Ranges:
    """The characters a term begins with, in JSON."""
    ranges = tuple(r for row in automaton.targets(0).values() for r in row)
    if not quoted:
        return ranges
    plain = without(ranges, QUOTED)
    back = ((0x5C, 0x5C),) if overlap(ranges, QUOTED) else ()
    end = ((0x22, 0x22),) if 0 in automaton.accepts else ()
    return (*plain, *back, *end)
