"""How much work a JSON schema makes, which its size does not tell: a reference may be used twice by
what is itself referred to twice, and so on, until a page of schema looks at a value 2^50 times.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from autobot.errors import Invalid

DEEPEST = 32
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


class Reach:
    """How often a schema, of which ``parts`` are all objects, looks at one part of a value."""

    def __init__(self, parts: Sequence[Mapping[str, Any]], where: str) -> None:
        self._parts, self._where = parts, where
        self._anchors = {
            part[name]: part
            for part in parts
            for name in ANCHORS
            if isinstance(part.get(name), str)
        }
        self._looks: list[dict[int, int]] = []
        self._way: set[int] = set()

    def looks(self, depth: int) -> int:
        """At a value of that ``depth`` (0 for a string), at worst; at most `MOST`.

        Raises `Invalid` where a reference leads nowhere or round in a circle.
        """
        # Beyond, it grows in step with the depth, or has long been more than anybody accepts.
        while len(self._looks) <= min(depth, DEEPEST):
            self._looks.append({})
            for part in self._parts:
                self._of(part, len(self._looks) - 1)
        return self._looks[min(depth, DEEPEST)][id(self._parts[0])]

    def _of(self, part: Any, depth: int) -> int:
        if isinstance(part, list):
            return sum(self._of(one, depth) for one in part)
        if not isinstance(part, Mapping) or depth < 0:
            return 0
        known, at = self._looks[depth], id(part)
        if at not in known:
            if at in self._way or len(self._way) >= LONGEST_WAY:
                raise Invalid(f"{self._where}: '$ref' leads in a circle, or too far.")
            self._way.add(at)
            total = 1 + sum(self._keyword(name, value, depth) for name, value in part.items())
            self._way.remove(at)
            known[at] = min(MOST, total * (1 + sum(name in part for name in AGAIN)))
        return known[at]

    def _keyword(self, name: str, value: Any, depth: int) -> int:
        if name in REFERENCES and isinstance(value, str):
            return self._of(self._target(value), depth)
        if name in BESIDE:
            return self._of(value, depth)
        if name in INSIDE:
            return self._of(value, depth - 1)
        by_name = list(value.values()) if isinstance(value, Mapping) else []
        match name:
            case "properties":  # a part of a value has one name
                return max((self._of(one, depth - 1) for one in by_name), default=0)
            case "patternProperties":  # which any number of patterns may match
                return self._of(by_name, depth - 1)
            case "dependentSchemas" | "dependencies":
                return self._of(by_name, depth)
            case _:
                return 0

    def _target(self, reference: str) -> Any:
        part: Any = self._parts[0]
        if not reference.startswith("#/"):
            part = part if reference == "#" else self._anchors.get(reference[1:])
        else:
            for step in unquote(reference[2:]).split("/"):
                part = _inside(part, step.replace("~1", "/").replace("~0", "~"))
        if part is None:
            raise Invalid(f"{self._where}: '$ref' leads nowhere: {reference[:100]}")
        return part


def _inside(part: Any, step: str) -> Any:
    if isinstance(part, Mapping):
        return part.get(step)
    if isinstance(part, list) and step.isdecimal() and int(step) < len(part):
        return part[int(step)]
    return None
