"""From words to a tree. Depth and size of the tree are bounded here, its meaning is elsewhere."""

from dataclasses import dataclass
from typing import Any

from autobot.automation.cel.errors import CelError
from autobot.automation.cel.lexer import Word

DEEPEST = 100
"""Levels of the tree; a sum of a hundred parts is that deep."""
DEEPEST_BRACKETS = 40
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
OPERATORS = (
    ("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"),
)  # fmt: skip
"""Of each level those that bind alike; the last level binds closest."""
CONSTANTS = {"true": True, "false": False, "null": None}
MACROS = {"all", "exists", "exists_one", "map", "filter"}


@dataclass(frozen=True)
class Node:
    column: int


@dataclass(frozen=True)
class Literal(Node):
    value: Any


@dataclass(frozen=True)
class Name(Node):
    name: str


@dataclass(frozen=True)
class Select(Node):
    of: Node
    field: str


@dataclass(frozen=True)
class Index(Node):
    of: Node
    key: Node


@dataclass(frozen=True)
class Call(Node):
    """A function, method or operator; a method's object is its first argument."""

    name: str
    arguments: tuple[Node, ...]
    method: bool = False


@dataclass(frozen=True)
class Comprehension(Node):
    """A macro over ``of``; ``condition`` is only that of ``map`` with three arguments."""

    macro: str
    of: Node
    variable: str
    body: Node
    condition: Node | None = None


@dataclass(frozen=True)
class Has(Node):
    part: Select


@dataclass(frozen=True)
class ListOf(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True)
class MapOf(Node):
    entries: tuple[tuple[Node, Node], ...]


def children(node: Node) -> tuple[Node, ...]:
    """Return the parts of a node, in the order of the text."""
    match node:
        case Select(of=of):
            return (of,)
        case Index(of=of, key=key):
            return (of, key)
        case Call(arguments=arguments):
            return arguments
        case Comprehension(of=of, body=body, condition=condition):
            return (of, *((condition,) if condition else ()), body)
        case Has(part=part):
            return (part,)
        case ListOf(items=items):
            return items
        case MapOf(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case _:
            return ()


class Parser:
    """Reads one expression; `tree` raises `CelError` with the column of the first mistake."""

    def __init__(self, words: list[Word]) -> None:
        self._words, self._next, self._brackets = words, 0, 0

    def tree(self) -> Node:
        """Return the tree of all words."""
        node = self._expression()
        if self._word.kind != "end":
            raise self._unexpected()
        if _deeper_than(node, DEEPEST):
            raise CelError(f"the expression is more than {DEEPEST} levels deep", node.column)
        return node

    @property
    def _word(self) -> Word:
        return self._words[self._next]

    def _unexpected(self) -> CelError:
        return CelError(f"unexpected {self._word.value!r}", self._word.column)

    def _take(self) -> Word:
        self._next += 1
        return self._words[self._next - 1]

    def _is(self, *signs: str) -> bool:
        return self._word.kind in ("sign", "name") and self._word.value in signs

    def _skip(self, sign: str) -> bool:
        if self._is(sign):
            self._next += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._skip(sign):
            raise CelError(f"expected {sign!r} before {self._word.value!r}", self._word.column)

    def _expression(self) -> Node:
        self._brackets += 1
        if self._brackets > DEEPEST_BRACKETS:
            raise CelError(f"brackets are more than {DEEPEST_BRACKETS} deep", self._word.column)
        node = self._binary(0)
        column = self._word.column
        if self._skip("?"):
            chosen = self._binary(0)
            self._expect(":")
            node = Call(column, "?:", (node, chosen, self._expression()))
        self._brackets -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(OPERATORS):
            return self._unary()
        node = self._binary(level + 1)
        while self._is(*OPERATORS[level]):
            operator = self._take()
            node = Call(operator.column, operator.value, (node, self._binary(level + 1)))
        return node

    def _unary(self) -> Node:
        signs: list[Word] = []
        while self._is("!", "-"):
            signs.append(self._take())
        if len({sign.value for sign in signs}) > 1:
            raise CelError("'!' and '-' cannot be mixed", signs[0].column)
        if signs and signs[-1].value == "-" and self._word.kind in ("int", "double"):
            node = self._members(self._number("-" + self._take().value, signs.pop().column))
        else:
            node = self._members(self._primary())
        for sign in reversed(signs):
            node = Call(sign.column, sign.value + "_", (node,))
        return node

    def _members(self, node: Node) -> Node:
        while True:
            column = self._word.column
            if self._skip("."):
                node = self._member(node)
            elif self._skip("["):
                node = Index(column, node, self._expression())
                self._expect("]")
            else:
                return node

    def _member(self, node: Node) -> Node:
        word = self._take()
        if word.kind not in ("name", "field") or (word.kind == "name" and word.value == "in"):
            raise CelError(f"expected a name before {word.value!r}", word.column)
        if word.kind == "name" and self._skip("("):
            arguments = self._list(")")
            if word.value in MACROS:
                return self._comprehension(word, node, arguments)
            return Call(word.column, word.value, (node, *arguments), method=True)
        return Select(word.column, node, word.value)

    def _comprehension(self, word: Word, of: Node, arguments: tuple[Node, ...]) -> Node:
        three = word.value == "map" and len(arguments) == 3
        if (len(arguments) != 2 and not three) or not isinstance(arguments[0], Name):
            raise CelError(f"{word.value} takes a name and an expression", word.column)
        condition = arguments[1] if three else None
        return Comprehension(
            word.column, word.value, of, arguments[0].name, arguments[-1], condition
        )

    def _primary(self) -> Node:
        word = self._take()
        if word.kind == "text":
            return Literal(word.column, word.value)
        if word.kind in ("int", "double"):
            return self._number(word.value, word.column)
        if word.kind == "name" and word.value != "in":
            return self._named(word)
        if word.value == "(" and word.kind == "sign":
            node = self._expression()
            self._expect(")")
            return node
        if word.value == "[" and word.kind == "sign":
            return ListOf(word.column, self._list("]"))
        if word.value == "{" and word.kind == "sign":
            return MapOf(word.column, self._entries())
        self._next -= 1
        raise self._unexpected()

    def _named(self, word: Word) -> Node:
        if word.value in CONSTANTS:
            return Literal(word.column, CONSTANTS[word.value])
        if not self._skip("("):
            return Name(word.column, word.value)
        arguments = self._list(")")
        if word.value != "has":
            return Call(word.column, word.value, arguments)
        if len(arguments) != 1 or not isinstance(arguments[0], Select):
            raise CelError("has() takes one field, as in has(steps.a.text)", word.column)
        return Has(word.column, arguments[0])

    def _list(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._skip(end):
            items.append(self._expression())
            if not self._skip(","):
                self._expect(end)
                break
        return tuple(items)

    def _entries(self) -> tuple[tuple[Node, Node], ...]:
        entries: list[tuple[Node, Node]] = []
        while not self._skip("}"):
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression()))
            if not self._skip(","):
                self._expect("}")
                break
        return tuple(entries)

    @staticmethod
    def _number(text: str, column: int) -> Literal:
        if "x" in text or "X" in text:
            value: int | float = int(text, 16)
        elif text.lstrip("-").isdecimal():
            value = int(text) if len(text) < 30 else INT_MAX + 1
        else:
            value = float(text)
        if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
            raise CelError("a whole number has at most 64 bits", column)
        if value in (float("inf"), float("-inf")):
            raise CelError("the number is too large", column)
        return Literal(column, value)


def _deeper_than(node: Node, levels: int) -> bool:
    """Level by level, for a tree that may be too deep for recursion."""
    row = [node]
    for _ in range(levels):
        row = [part for parent in row for part in children(parent)]
        if not row:
            return False
    return True
