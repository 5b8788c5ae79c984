"""What the installed Playwright says of both protocols, in the notation of the room's allow lists.

    python -m tests.unit.browser.protocols.definitions

writes the lists anew from it, for the methods in ``ALLOWED`` alone. Read the difference before it
is committed: that is the looking which the lists are for.
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import playwright
from playwright._impl._protocol import COMMANDS, EXTENDS, TYPES

from deployments.browser.protocols import cdp as cdp_filter
from deployments.browser.protocols import playwright as playwright_filter
from deployments.browser.protocols.shapes import Shapes

Shape = Any
Definition = dict[str, dict[str, Shape]]
PROTOCOL = Path(inspect.getfile(playwright)).parent / "driver/package/types/protocol.d.ts"


def playwright_definition() -> tuple[Definition, Definition]:
    """Return every method and every type of Playwright's own protocol."""
    methods = {
        f"{kind}.{name}": _properties(arguments)
        for kind, commands in COMMANDS.items()
        for name, arguments in commands.items()
    }
    for kind, base in EXTENDS.items():
        for name, arguments in COMMANDS[base].items():
            methods.setdefault(f"{kind}.{name}", _properties(arguments))
    return methods, {name: _shape(spec)[0] for name, spec in TYPES.items()}


def _properties(spec: dict[str, Any]) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for name, value in spec.items():
        shape, optional = _shape(value)
        found[f"{name}?" if optional else name] = shape
    return found


def _shape(spec: Any) -> tuple[Shape, bool]:
    kind = spec if isinstance(spec, str) else spec["type"]
    optional, kind = kind.endswith("?"), kind.removesuffix("?")
    if kind == "object":
        return _properties(spec.get("properties", {})), optional
    if kind == "array":
        return [_shape(spec["items"])[0]], optional
    if kind == "enum":
        return "string", optional
    plain = {"int": "number", "float": "number", "binary": "string", "json": "any"}
    if kind in plain or kind in ("string", "boolean", "number", "any"):
        return plain.get(kind, kind), optional
    return (kind if kind in TYPES else "channel"), optional


def cdp_definition() -> tuple[Definition, Definition]:
    """Return every command and every type of the Chrome DevTools Protocol."""
    text = re.sub(r"/\*.*?\*/", "", PROTOCOL.read_text(), flags=re.DOTALL)
    types: Definition = {}
    for domain, body in re.findall(r"^  export namespace (\w+) \{(.*?)^  \}", text, re.M | re.S):
        declared = r"^    export (?:type (\w+) =|interface (\w+)) (.*?)(?=^    export |\Z)"
        for first, second, shape in re.findall(declared, body, re.M | re.S):
            types[f"{domain}.{first or second}"] = _Reader(shape, domain).type()
    commands = text[text.index("export interface CommandParameters") :].partition("}")[0]
    named = re.findall(r'"([\w.]+)": ([\w.]+);', commands)
    return {method: types[parameters] for method, parameters in named}, types


class _Reader:
    """Reads a type of TypeScript, as far as the generated file uses them."""

    def __init__(self, text: str, domain: str) -> None:
        self._tokens = re.findall(r'"[^"]*"|[\w.]+\??|[^\s\w]', text)
        self._domain = domain

    def _next(self) -> str:
        return self._tokens.pop(0)

    def type(self) -> Shape:
        found = self._one()
        while self._tokens and self._tokens[0] in ("|", "["):
            if self._next() == "[":
                self._next()
                found = [found]
            else:
                self._one()
                found = "string"  # unions are enumerations
        return found

    def _one(self) -> Shape:
        token = self._next()
        if token == "{":
            return self._object()
        if token == "(":
            inner = self.type()
            self._next()
            return inner
        if token.startswith('"'):
            return "string"
        if token in ("string", "number", "boolean", "any"):
            return token
        if token in ("void", "object"):
            return {} if token == "void" else "any"
        if token == "binary":
            return "string"
        return token if "." in token else f"{self._domain}.{token}"

    def _object(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        while (name := self._next()) != "}":
            if name == "[":  # a map: [key: string]: string
                while self._next() != "]":
                    pass
                name = "*"
            if name in (";", ","):
                continue
            if self._tokens[0] == "?":
                self._next()
                name += "?"
            assert self._next() == ":", name
            found[name] = self.type()
        return found


def reached(shapes: Iterable[Shape], types: Definition) -> Iterator[str]:
    """Name the types that ``shapes`` lead to."""
    seen: set[str] = set()
    left = list(shapes)
    while left:
        shape = left.pop()
        if isinstance(shape, dict):
            left += shape.values()
        elif isinstance(shape, list):
            left += shape
        elif shape in types and shape not in seen:
            seen.add(shape)
            left.append(types[shape])
            yield shape


def listed(methods: Definition, types: Definition, names: Iterable[str]) -> Shapes:
    """Return ``names`` with their shapes, and the types these need."""
    mine = {name: methods[name] for name in sorted(names)}
    return Shapes(mine, {name: types[name] for name in sorted(reached(mine.values(), types))})


def _write(path: Path, shapes: Shapes) -> None:
    def lines(part: dict[str, Any]) -> str:
        return ",\n".join(
            f"{json.dumps(name)}: {json.dumps(value)}" for name, value in part.items()
        )

    path.write_text(
        f'{{"methods": {{\n{lines(shapes.methods)}\n}},\n"types": {{\n{lines(shapes.types)}\n}}}}\n'
    )


if __name__ == "__main__":
    _write(cdp_filter.LIST, listed(*cdp_definition(), cdp_filter.shapes().methods))
    own = playwright_filter.shapes().methods
    _write(playwright_filter.LIST, listed(*playwright_definition(), own))
