"""What a tree is worth for given variables."""

from collections.abc import Callable, Mapping
from typing import Any

from autobot.automation.cel.budget import Budget
from autobot.automation.cel.errors import CelError, NoValue
from autobot.automation.cel.functions import FUNCTIONS, METHODS
from autobot.automation.cel.operators import (
    ARITHMETIC,
    COMPARE,
    compare,
    contained,
    equal,
    kind,
    whole,
)
from autobot.automation.cel.parser import (
    Call,
    Comprehension,
    Has,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Select,
)

OPERATORS = {"||", "&&", "?:", "!_", "-_", "==", "!=", "in", *COMPARE, *ARITHMETIC}


def call_mistake(node: Call) -> str | None:
    """Say what is wrong with a call before anything is evaluated, or None."""
    if node.name in OPERATORS:
        return None
    known = METHODS if node.method else FUNCTIONS
    if node.name not in known:
        return f"there is no {'method' if node.method else 'function'} {node.name}()"
    _, fewest, most = known[node.name]
    if not fewest <= len(node.arguments) <= most:
        return f"{node.name}() does not take so many arguments"
    if node.name == "matches" and not _is_text(node.arguments[1]):
        return "the pattern of matches() is written out, not computed"
    return None


def _is_text(node: Node) -> bool:
    return isinstance(node, Literal) and isinstance(node.value, str)


class Evaluation:
    """One evaluation: variables by name, and a budget that every part takes from.

    `of` raises `NoValue`, or `TooCostly` when the budget is used up.
    """

    def __init__(self, variables: Mapping[str, Any], budget: Budget) -> None:
        self._variables, self._budget = dict(variables), budget
        self._ways: dict[type[Node], Callable[[Any], Any]] = {
            Literal: lambda node: node.value,
            Name: self._name,
            Select: self._select,
            Index: self._index,
            Call: self._call,
            Comprehension: self._comprehension,
            Has: self._has,
            ListOf: lambda node: [self.of(item) for item in node.items],
            MapOf: self._map,
        }

    def of(self, node: Node) -> Any:
        """Return the value of ``node``."""
        self._budget.spend(1)
        try:
            return self._ways[type(node)](node)
        except CelError as error:
            if error.column:
                raise
            raise type(error)(error.detail, node.column) from error

    def _name(self, node: Name) -> Any:
        if node.name not in self._variables:
            raise NoValue(f"there is no {node.name!r} here")
        return self._variables[node.name]

    def _select(self, node: Select) -> Any:
        return self._field(self.of(node.of), node.field, repr(node.field[:60]))

    @staticmethod
    def _field(value: Any, key: Any, shown: str) -> Any:
        if isinstance(value, dict) and isinstance(key, str):
            if key in value:
                return value[key]
            raise NoValue(f"no such key: {shown}")
        raise NoValue(f"a value of kind {kind(value)} has no field {shown}")

    def _index(self, node: Index) -> Any:
        value, key = self.of(node.of), self.of(node.key)
        if not isinstance(value, list):
            # A computed key may hold a secret, and an error is shown and kept.
            shown = repr(key)[:60] if isinstance(node.key, Literal) else "(computed)"
            return self._field(value, key, shown)
        if isinstance(key, float) and key.is_integer():
            key = int(key)
        if type(key) is not int:
            raise NoValue(f"a list has no item of a key of kind {kind(key)}")
        if not 0 <= key < len(value):
            raise NoValue(f"the list has {len(value)} items and none at {key}")
        return value[key]

    def _has(self, node: Has) -> bool:
        """A part that is missing or null on the way is an answer: a skipped step has no result."""
        names, root = [node.part.field], node.part.of
        while isinstance(root, Select):
            names.append(root.field)
            root = root.of
        value = self.of(root)
        self._budget.spend(len(names))
        for name in reversed(names):
            if value is None:
                return False
            if not isinstance(value, dict):
                raise NoValue(f"a value of kind {kind(value)} has no fields")
            if name not in value:
                return False
            value = value[name]
        return True

    def _map(self, node: MapOf) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.entries:
            key = self.of(key_node)
            if not isinstance(key, str) or key in result:
                raise NoValue("keys of a map are texts, each of them once")
            result[key] = self.of(value_node)
        return result

    def _call(self, node: Call) -> Any:
        name, parts = node.name, node.arguments
        if name in ("||", "&&"):
            return self._logic(parts[0], parts[1], decisive=name == "||")
        if name == "?:":
            return self.of(parts[1] if self._truth(self.of(parts[0])) else parts[2])
        values = [self.of(part) for part in parts]
        if len(values) == 1 and name in ("!_", "-_"):
            return self._negative(values[0]) if name == "-_" else not self._truth(values[0])
        if name in OPERATORS:
            return self._operator(name, values[0], values[1])
        if mistake := call_mistake(node):
            raise NoValue(mistake)
        return (METHODS if node.method else FUNCTIONS)[name][0](self._budget, *values)

    def _operator(self, name: str, left: Any, right: Any) -> Any:
        if name in ("==", "!="):
            return equal(left, right, self._budget) == (name == "==")
        if name == "in":
            return contained(left, right, self._budget)
        if name in COMPARE:
            return compare(name, left, right, self._budget)
        return ARITHMETIC[name](left, right, self._budget)

    def _negative(self, value: Any) -> Any:
        if type(value) is int:
            return whole(-value)
        if isinstance(value, float):
            return -value
        raise NoValue(f"a value of kind {kind(value)} has no negative")

    @staticmethod
    def _truth(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise NoValue(f"expected true or false, not a value of kind {kind(value)}")

    def _logic(self, left: Node, right: Node, *, decisive: bool) -> bool:
        """One side may be without value if the other decides."""
        try:
            if self._truth(self.of(left)) is decisive:
                return decisive
        except NoValue:
            if self._truth(self.of(right)) is decisive:
                return decisive
            raise
        return self._truth(self.of(right))

    def _comprehension(self, node: Comprehension) -> Any:
        items = self.of(node.of)
        if not isinstance(items, list | dict):
            raise NoValue(f"{node.macro}() goes over a list or a map, not: {kind(items)}")
        within = node.variable in self._variables
        outer = self._variables.get(node.variable)
        try:
            return self._over(node, list(items))
        finally:
            if within:
                self._variables[node.variable] = outer
            else:
                self._variables.pop(node.variable, None)

    def _over(self, node: Comprehension, items: list[Any]) -> Any:
        self._budget.spend(len(items))
        if node.macro in ("all", "exists"):
            return self._any(node, items, decisive=node.macro == "exists")
        if node.macro == "exists_one":
            return sum(self._truth(self._body(node, item)) for item in items) == 1
        if node.macro == "filter":
            return [item for item in items if self._truth(self._body(node, item))]
        return [
            self._body(node, item)
            for item in items
            if node.condition is None or self._truth(self._body(node, item, node.condition))
        ]

    def _any(self, node: Comprehension, items: list[Any], *, decisive: bool) -> bool:
        failure: NoValue | None = None
        for item in items:
            try:
                if self._truth(self._body(node, item)) is decisive:
                    return decisive
            except NoValue as error:
                failure = error
        if failure is not None:
            raise failure
        return not decisive

    def _body(self, node: Comprehension, item: Any, body: Node | None = None) -> Any:
        self._variables[node.variable] = item
        return self.of(body or node.body)
