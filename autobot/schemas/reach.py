"""How much work a JSON schema makes, which its size does not tell: a reference may be used twice by
what is itself referred to twice, and so on, until a page of schema looks at a value 2^50 times.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from autobot.errors import Invalid

DEEPEST_VALUE = 32
MOST = 10**9
LONGEST_WAY = 100
ANCHORS = ("$anchor", "$dynamicAnchor")
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
BESIDE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
"""Keywords whose schemas look at the same part of a value; those of `INSIDE` at what is in it."""
INSIDE = (
    "items", "prefixItems", "additionalItems", "contains", "unevaluatedItems", "propertyNames",
    "additionalProperties", "unevaluatedProperties",
)  # fmt: skip
AGAIN = ("unevaluatedItems", "unevaluatedProperties")
"""They look again at what the keywords beside them have looked at."""
BY_NAME = {"properties": 1, "patternProperties": 1, "dependentSchemas": 0, "dependencies": 0}
"""Keywords that hold schemas by name, and how far inside the value those look."""
STEPS_BACK = re.compile(r"\(\?[=!<]|\\[1-9k]")
"""What makes a pattern one that is tried out step by step, instead of read in linear time."""


class Reach:
    """How often a schema looks at one part of a value. ``parts`` are all its objects, itself first.
    ``work`` is what one of them does by itself, in looks or in whatever is to be counted.

    Raises `Invalid` where a reference leads nowhere or round in a circle.
    """

    def __init__(
        self,
        parts: Sequence[Mapping[str, Any]],
        where: str,
        work: Callable[[Mapping[str, Any]], int] | None = None,
    ) -> None:
        self._root, self._where = parts[0], where
        self._work = {id(part): (work or _own_work)(part) for part in parts}
        self._anchors = self._named(parts)
        self._schemas = self._reached()
        self._looks: list[dict[int, int]] = []
        self._way: set[tuple[int, int]] = set()

    def looks(self, depth: int) -> int:
        """At a value of that ``depth`` (0 for a string), at worst; at most `MOST`."""
        # Beyond, it grows in step with the depth, or has long been more than anybody accepts.
        while len(self._looks) <= min(depth, DEEPEST_VALUE):
            self._looks.append({})
            for schema in self._schemas:
                self._of(schema, len(self._looks) - 1)
        return self._looks[min(depth, DEEPEST_VALUE)][id(self._root)]

    def _named(self, parts: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        anchors: dict[str, Mapping[str, Any]] = {}
        for part in parts:
            for name in {part[key] for key in ANCHORS if isinstance(part.get(key), str)}:
                if name in anchors:
                    raise Invalid(f"{self._where}: '$anchor' names two parts: {name[:100]}")
                anchors[name] = part
        return anchors

    def _reached(self) -> list[Mapping[str, Any]]:
        """Every schema that may be applied; data that only looks like one is none."""
        found: dict[int, Mapping[str, Any]] = {id(self._root): self._root}
        ahead = [self._root]
        while ahead:
            for _, below, _ in self._below(ahead.pop()):
                if id(below) not in found:
                    found[id(below)] = below
                    ahead.append(below)
        return [*found.values()]

    def _below(self, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], int]]:
        """The schemas that it applies: the keyword, the schema, how far inside the value."""
        for name, value in schema.items():
            if name in REFERENCES and isinstance(value, str):
                value, inside = self._target(value), 0
            elif name in BY_NAME:
                inside = BY_NAME[name]
                value = [*value.values()] if isinstance(value, Mapping) else ()
            elif name in BESIDE or name in INSIDE:
                inside = int(name in INSIDE)
            else:
                continue
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Mapping):
                    yield name, one, inside

    def _of(self, schema: Mapping[str, Any], depth: int) -> int:
        if depth < 0:
            return 0
        known = self._looks[depth]
        if id(schema) not in known:
            at = (id(schema), depth)
            if at in self._way or len(self._way) >= LONGEST_WAY:
                raise Invalid(f"{self._where}: '$ref' leads in a circle, or too far.")
            self._way.add(at)
            total, costliest = self._work[id(schema)], 0
            for keyword, below, inside in self._below(schema):
                looks = self._of(below, depth - inside)
                if keyword == "properties":  # a part of a value has one name
                    costliest = max(costliest, looks)
                else:
                    total += looks
            self._way.remove(at)
            total += costliest
            known[id(schema)] = min(MOST, total * (1 + sum(name in schema for name in AGAIN)))
        return known[id(schema)]

    def _target(self, reference: str) -> Any:
        part = referred(self._root, self._anchors, reference)
        if part is None:
            raise Invalid(f"{self._where}: '$ref' leads nowhere: {reference[:100]}")
        return part


def referred(root: Any, anchors: Mapping[str, Any], reference: str) -> Any:
    """What a local reference leads to; None when that is nowhere."""
    if not reference.startswith("#/"):
        return root if reference == "#" else anchors.get(reference[1:])
    for step in unquote(reference[2:]).split("/"):
        root = _inside(root, step.replace("~1", "/").replace("~0", "~"))
    return root


def patterns_of(schema: Mapping[str, Any]) -> list[str]:
    """Those of its own keywords."""
    named = schema.get("patternProperties")
    found = [*(named if isinstance(named, Mapping) else ()), schema.get("pattern")]
    return [pattern for pattern in found if isinstance(pattern, str)]


def _own_work(schema: Mapping[str, Any]) -> int:
    """What its own keywords take, in looks: patterns are tried, lists of objects are compared."""
    work = 1 + sum(1000 if STEPS_BACK.search(one) else 50 for one in patterns_of(schema))
    values = [
        schema.get("const"),
        *(schema["enum"] if isinstance(schema.get("enum"), list) else ()),
    ]
    return work + sum(20 for value in values if isinstance(value, (Mapping, list)))


def _inside(part: Any, step: str) -> Any:
    if isinstance(part, Mapping):
        return part.get(step)
    if isinstance(part, list) and step.isdecimal() and len(step) < 6 and int(step) < len(part):
        return part[int(step)]
    return None
