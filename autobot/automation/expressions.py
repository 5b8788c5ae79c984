"""``${{ }}`` in texts: CEL, compiled once, evaluated under bounds.

A text that is one expression keeps the value's type. In other texts each value is written out: null
as nothing, whole numbers, lists and maps as JSON, the rest as CEL's ``string()``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autobot.automation.cel.budget import Budget, Results
from autobot.automation.cel.errors import CelError
from autobot.automation.cel.evaluator import Evaluation, call_mistake
from autobot.automation.cel.functions import to_string
from autobot.automation.cel.lexer import words
from autobot.automation.cel.parser import (
    Call,
    Comprehension,
    Index,
    Literal,
    Name,
    Node,
    Parser,
    Select,
    children,
)
from autobot.automation.cel.patterns import MOST as MOST_PATTERNS
from autobot.automation.errors import InvalidExpression
from autobot.automation.template_cache import TemplateCache

OPEN, CLOSE = "${{", "}}"
LONGEST = 4_000
"""Letters of one expression."""
LONGEST_TEXT = 1 << 18
MOST_EXPRESSIONS = 200
"""Of one text."""
ROOTS = ("inputs", "steps", "trigger", "item", "index", "error", "run", "secrets")
"""The names that an expression may use."""
NAMED = ("steps", "secrets")
"""Of these a part must be named, so that it is known before a run what an expression reads."""


@dataclass(frozen=True)
class Reference:
    """What an expression reads: ``steps.news.markdown`` is root ``steps``, path
    ``("news", "markdown")``, up to the first part that is not named."""

    root: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.root, *self.path))


@dataclass(frozen=True)
class Expression:
    """One expression, ready to be evaluated."""

    source: str
    tree: Node
    references: frozenset[Reference]
    patterns: tuple[str, ...] = ()
    """Those of ``matches()``, each once."""

    def value(self, scope: Mapping[str, Any], budget: Budget, results: Results, step: str) -> Any:
        """Return the value as JSON; raises `InvalidExpression`, which names ``step``."""
        try:
            return results.plain(Evaluation(scope, budget).of(self.tree))
        except CelError as error:
            raise InvalidExpression(error.detail, self.source, step, error.column) from error

    def text(self, scope: Mapping[str, Any], budget: Budget, results: Results, step: str) -> str:
        """Return the value as it stands in a text with other parts; raises as `value`."""
        value = self.value(scope, budget, results, step)
        try:
            return _text(value)
        except CelError as error:
            raise InvalidExpression(error.detail, self.source, step, error.column) from error


@dataclass(frozen=True)
class Template:
    """A text with its expressions; one without any is a template too."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All expressions, in the order of the text."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def only(self) -> Expression | None:
        """The expression that is the whole text; None where there is other text."""
        part = self.parts[0] if len(self.parts) == 1 else None
        return part if isinstance(part, Expression) else None

    def value(self, scope: Mapping[str, Any], budget: Budget, results: Results, step: str) -> Any:
        """Return the value of the only expression, or the text."""
        if self.only is not None:
            return self.only.value(scope, budget, results, step)
        return "".join(
            part if isinstance(part, str) else part.text(scope, budget, results, step)
            for part in self.parts
        )


_compiled_texts: TemplateCache[Template] = TemplateCache()


def parse(text: str) -> Template:
    """Compile a text; raises `InvalidExpression` with the column inside the expression."""
    if OPEN not in text:
        return Template((text,))
    if len(text) > LONGEST_TEXT:
        raise InvalidExpression(f"a text with expressions has at most {LONGEST_TEXT} letters")
    template = _compiled_texts.get(text)
    if template is None:
        template = Template(tuple(_parts(text)))
        _compiled_texts.keep(text, template)
    return template


def _parts(text: str) -> list[str | Expression]:
    parts: list[str | Expression] = []
    position = count = 0
    while (start := text.find(OPEN, position)) >= 0:
        count += 1
        if count > MOST_EXPRESSIONS:
            raise InvalidExpression(f"a text has at most {MOST_EXPRESSIONS} expressions")
        parts += [text[position:start]] if start > position else []
        expression, end = _compiled(text, start + len(OPEN))
        parts.append(expression)
        position = end + len(CLOSE)
    return parts + ([text[position:]] if position < len(text) else [])


def _compiled(text: str, start: int) -> tuple[Expression, int]:
    source = text[start : start + LONGEST + len(CLOSE)]
    try:
        # No more than the longest is read: what follows may be a megabyte of text.
        found, length = words(source, inside=True)
        source = source[:length].strip()
        tree = Parser(found).tree()
        patterns = _patterns(tree)
        read = frozenset(_references(tree, frozenset()))
        return Expression(source, tree, read, patterns), start + length
    except CelError as error:
        known = source.partition(CLOSE)[0].strip()
        raise InvalidExpression(error.detail, known, "", error.column) from error


def _patterns(tree: Node) -> tuple[str, ...]:
    """Check every call, and return the patterns of ``matches()``."""
    patterns: dict[str, None] = {}
    for call in _calls(tree):
        if mistake := call_mistake(call):
            raise CelError(mistake, call.column)
        if call.name == "matches" and isinstance(call.arguments[1], Literal):
            patterns[call.arguments[1].value] = None
    if len(patterns) > MOST_PATTERNS:
        raise CelError(f"an expression has at most {MOST_PATTERNS} patterns", tree.column)
    return tuple(patterns)


def _calls(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
    for part in children(node):
        yield from _calls(part)


def _references(node: Node, bound: frozenset[str]) -> Iterator[Reference]:
    """``bound`` are the names of macros around it; they are nobody else's."""
    chain, root = _chain(node)
    if isinstance(root, Name) and root.name not in bound:
        if root.name not in ROOTS:
            known = ", ".join(ROOTS)
            raise CelError(f"there is no {root.name!r}; there are {known}", root.column)
        if root.name in NAMED and not chain:
            raise CelError(f"name what is meant, as in {root.name}.NAME", root.column)
        yield Reference(root.name, chain)
    elif isinstance(root, Comprehension):
        yield from _references(root.of, bound)
        for part in children(root)[1:]:
            yield from _references(part, bound | {root.variable})
    else:
        for part in children(root):
            yield from _references(part, bound)
    yield from _keys(node, bound)


def _chain(node: Node) -> tuple[tuple[str, ...], Node]:
    """The names that lead from the root on, until one that is computed; and the root."""
    names: list[str] = []
    while isinstance(node, Select | Index):
        if isinstance(node, Select):
            names.append(node.field)
        elif isinstance(node.key, Literal) and isinstance(node.key.value, str):
            names.append(node.key.value)
        else:
            names.clear()
        node = node.of
    return tuple(reversed(names)), node


def _keys(node: Node, bound: frozenset[str]) -> Iterator[Reference]:
    """What the computed keys on the way to the root read."""
    while isinstance(node, Select | Index):
        if isinstance(node, Index):
            yield from _references(node.key, bound)
        node = node.of


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value that holds an expression."""
    if isinstance(value, str):
        if OPEN in value:
            yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def references(value: Any) -> frozenset[Reference]:
    """Return what all expressions in a JSON value read. Raises `InvalidExpression`."""
    return frozenset(
        reference
        for text in texts(value)
        for expression in parse(text).expressions
        for reference in expression.references
    )


def secrets_read(value: Any) -> frozenset[str]:
    """Return the names of the secrets that expressions in a JSON value read. Raises
    `InvalidExpression`."""
    return frozenset(of.path[0] for of in references(value) if of.root == "secrets")


def reads_item(condition: str | bool) -> bool:
    """Whether an ``if`` asks about ``item`` or ``index``: then it decides for each item of a loop,
    else once for the whole step, before its list is evaluated. Raises `InvalidExpression`."""
    return any(reference.root in ("item", "index") for reference in references(condition))


def resolve(value: Any, scope: Mapping[str, Any], step: str = "") -> Any:
    """Return a JSON value with every expression in it evaluated.

    ``scope`` holds those of `ROOTS` that there are: ``steps`` the results by id. All expressions
    share one budget. Raises `InvalidExpression`, which names ``step``.
    """
    return _resolved(value, scope, Budget(), Results(), step)


def _resolved(
    value: Any, scope: Mapping[str, Any], budget: Budget, results: Results, step: str
) -> Any:
    if isinstance(value, str):
        return parse(value).value(scope, budget, results, step) if OPEN in value else value
    if isinstance(value, list):
        return [_resolved(item, scope, budget, results, step) for item in value]
    if isinstance(value, dict):
        return {key: _resolved(item, scope, budget, results, step) for key, item in value.items()}
    return value


def holds(condition: str | bool, scope: Mapping[str, Any], step: str = "") -> bool:
    """Return what an ``if`` says; raises `InvalidExpression` unless it is true or false."""
    value = resolve(condition, scope, step)
    if isinstance(value, bool):
        return value
    raise InvalidExpression("an 'if' must give true or false", str(condition), step)


def items_of(items: Any, scope: Mapping[str, Any], most: int, step: str = "") -> list[Any]:
    """Return the list of a ``for_each``; raises `InvalidExpression` for no list, or one longer
    than ``most``: before its first item runs."""
    value = resolve(items, scope, step)
    if not isinstance(value, list):
        raise InvalidExpression("for_each needs a list", str(items), step)
    if len(value) > most:
        raise InvalidExpression(f"{len(value)} items; the limit is {most}", str(items), step)
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict) or type(value) is int:  # an id may have more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return to_string(Budget(), value)
