"""What a JSON schema asks of a value, with ``allOf`` and ``$ref`` followed and merged."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

TYPES = ("string", "integer", "number", "boolean", "null", "object", "array")
HINTS = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": (
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    ),
    "object": (
        "properties", "patternProperties", "additionalProperties", "required", "propertyNames",
        "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies",
        "unevaluatedProperties",
    ),
    "array": (
        "items", "prefixItems", "additionalItems", "contains", "minContains", "maxContains",
        "minItems", "maxItems", "uniqueItems", "unevaluatedItems",
    ),
}  # fmt: skip
"""A schema without a type means any; who writes these keywords means this one."""
AFTERWARDS = (
    "not", "if", "contains", "minContains", "maxContains", "dependentRequired", "dependentSchemas",
    "dependencies", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef",
)  # fmt: skip
"""Keywords that no grammar of ours holds: what is decoded is validated."""
MOST_OPTIONS = 64

Schema = Mapping[str, Any] | bool


class Contradiction(Exception):
    """No value can be valid."""


@dataclass
class Facts:
    """Constraints that hold together; ``later`` names the keywords left to the validator."""

    types: set[str] | None = None
    enum: list[Any] | None = None
    low: Decimal | None = None
    low_open: bool = False
    high: Decimal | None = None
    high_open: bool = False
    steps: list[Decimal] = field(default_factory=list[Decimal])
    shortest: int = 0
    longest: int | None = None
    patterns: list[str] = field(default_factory=list[str])
    formats: list[str] = field(default_factory=list[str])
    objects: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    names: list[Schema] = field(default_factory=list[Schema])
    required: list[str] = field(default_factory=list[str])
    fewest: int = 0
    most: int | None = None
    arrays: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    least_items: int = 0
    most_items: int | None = None
    unique: bool = False
    later: set[str] = field(default_factory=set[str])
    hints: set[str] = field(default_factory=set[str])
    conjuncts: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def kinds(self) -> set[str]:
        """The types a value may have. Where none is named: those the keywords are about."""
        found = set(self.types if self.types is not None else self.hints or TYPES)
        if "number" in found:
            found.discard("integer")
        return found


def add(facts: Facts, schema: Mapping[str, Any]) -> None:
    """Merge one schema's own keywords; not its ``$ref``, ``allOf``, ``anyOf`` and ``oneOf``."""
    facts.conjuncts.append(schema)
    for keyword in AFTERWARDS:
        if keyword in schema and not (keyword == "not" and _never(schema["not"])):
            facts.later.add(keyword)
    if "if" in schema and not {"then", "else"} & set(schema):
        facts.later.discard("if")
    if "type" in schema:
        _type(facts, schema["type"])
    facts.hints |= {kind for kind, keywords in HINTS.items() if any(k in schema for k in keywords)}
    for values in (schema.get("enum"), [schema["const"]] if "const" in schema else None):
        if values is not None:
            known = {same(one) for one in facts.enum or ()}
            kept = [one for one in values if facts.enum is None or same(one) in known]
            facts.enum = list({same(one): one for one in kept}.values())
    _number(facts, schema)
    _string(facts, schema)
    _object(facts, schema)
    _array(facts, schema)


def same(value: Any) -> str:
    """Equal for values that JSON Schema takes for equal: 1 is 1.0, and not true."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return f"[{','.join(map(same, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(k)}:{same(v)}' for k, v in sorted(value.items()))}}}"
    return json.dumps(value)


def _never(schema: Any) -> bool:
    if schema is True or schema == {}:
        raise Contradiction
    return schema is False


def _type(facts: Facts, named: Any) -> None:
    found = set(named if isinstance(named, list) else [named])
    if "number" in found:
        found.add("integer")
    facts.types = found if facts.types is None else facts.types & found
    if not facts.types:
        raise Contradiction


def decimal(value: Any) -> Decimal:
    """A number as it was written in the schema."""
    return Decimal(repr(value))


def _number(facts: Facts, schema: Mapping[str, Any]) -> None:
    for keyword, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        beside = schema.get(strict)
        bounds = [(schema[keyword], beside is True)] if keyword in schema else []
        if beside is not None and not isinstance(beside, bool):  # draft 4 says true beside it
            bounds.append((beside, True))
        for value, is_open in bounds:
            _bound(facts, decimal(value), is_open, lower=keyword == "minimum")
    if "multipleOf" in schema:
        facts.steps.append(decimal(schema["multipleOf"]))


def _bound(facts: Facts, value: Decimal, is_open: bool, *, lower: bool) -> None:
    if lower:
        if facts.low is None or (value, is_open) > (facts.low, facts.low_open):
            facts.low, facts.low_open = value, is_open
    elif facts.high is None or (-value, is_open) > (-facts.high, facts.high_open):
        facts.high, facts.high_open = value, is_open


def _string(facts: Facts, schema: Mapping[str, Any]) -> None:
    facts.shortest = max(facts.shortest, int(schema.get("minLength", 0)))
    facts.longest = _smaller(facts.longest, schema.get("maxLength"))
    if "pattern" in schema and schema["pattern"] not in facts.patterns:
        facts.patterns.append(schema["pattern"])
    if isinstance(schema.get("format"), str):
        facts.formats.append(schema["format"])


def _object(facts: Facts, schema: Mapping[str, Any]) -> None:
    if any(k in schema for k in ("properties", "patternProperties", "additionalProperties")):
        facts.objects.append(schema)
    if "propertyNames" in schema:
        facts.names.append(schema["propertyNames"])
    required = schema.get("required")
    if isinstance(required, list):
        facts.required = [*dict.fromkeys([*facts.required, *required])]
    facts.fewest = max(facts.fewest, int(schema.get("minProperties", 0)))
    facts.most = _smaller(facts.most, schema.get("maxProperties"))


def _array(facts: Facts, schema: Mapping[str, Any]) -> None:
    if any(k in schema for k in ("items", "prefixItems", "additionalItems")):
        facts.arrays.append(schema)
    facts.least_items = max(facts.least_items, int(schema.get("minItems", 0)))
    facts.most_items = _smaller(facts.most_items, schema.get("maxItems"))
    facts.unique = facts.unique or schema.get("uniqueItems") is True


def _smaller(one: int | None, other: Any) -> int | None:
    return one if other is None else int(other) if one is None else min(one, int(other))


def item_schemas(arrays: Sequence[Mapping[str, Any]], at: int | None) -> list[Schema]:
    """What the item at a place has to be; ``None`` for those behind all that have a place."""
    found: list[Schema] = []
    for one in arrays:
        placed, rest = placed_items(one)
        if at is not None and at < len(placed):
            found.append(placed[at])
        elif rest is not None:
            found.append(rest)
    return found


def placed_items(schema: Mapping[str, Any]) -> tuple[list[Schema], Schema | None]:
    """The items with a place of their own, and the others'; older drafts call them differently."""
    if isinstance(schema.get("items"), list):
        return schema["items"], schema.get("additionalItems")
    return schema.get("prefixItems", []), schema.get("items")


def named_properties(objects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The names of all ``properties``, each once, in the order in which they first stand."""
    yield from dict.fromkeys(name for one in objects for name in one.get("properties", {}))
