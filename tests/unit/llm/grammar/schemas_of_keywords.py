"""Schemas for every keyword of the drafts, and what is left of each to the validator."""

from collections.abc import Callable
from typing import Any

LEAF = {
    "type": "object",
    "properties": {"kind": {"const": "leaf"}, "size": {"type": "integer"}},
    "required": ["kind", "size"],
}
NODE = {
    "type": "object",
    "properties": {
        "kind": {"const": "node"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
    },
    "required": ["kind", "children"],
}
TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {"oneOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/node"}]},
        "leaf": LEAF,
        "node": NODE,
    },
}


def one(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


HELD: dict[str, dict[str, Any]] = {
    "anything": {},
    "object": {"type": "object"},
    "several types": {"type": ["string", "null", "integer"]},
    "enum": {"enum": ["a", 'b"c', 1, 1.5, None, True, {"x": [1]}, "ä\n"]},
    "enum and type": {"type": "string", "enum": ["a", 1, "bb"], "minLength": 2},
    "const": {"const": {"a": [1, "b"]}},
    "minimum": {"type": "integer", "minimum": 18},
    "maximum": {"type": "integer", "maximum": -5},
    "minimum and maximum": {"type": "number", "minimum": 0.25, "maximum": 1},
    "exclusive": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1},
    "exclusive in draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "integer",
        "minimum": 3,
        "exclusiveMinimum": True,
        "maximum": 5,
    },
    "bounds and no type": {"minimum": 3, "maximum": 4},
    "multipleOf": {"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 500},
    "multipleOf a fraction": {"type": "number", "multipleOf": 0.25, "maximum": 10, "minimum": -2},
    "multipleOf two": {"allOf": [{"type": "integer", "multipleOf": 4}, {"multipleOf": 6}]},
    "minLength": {"type": "string", "minLength": 12},
    "maxLength": {"type": "string", "maxLength": 3},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}$"},
    "pattern anywhere": {"type": "string", "pattern": "b[^x]d", "maxLength": 6},
    "pattern with lengths": {
        "type": "string",
        "pattern": "^(ab|c)+$",
        "minLength": 3,
        "maxLength": 7,
    },
    "pattern that looks ahead": {"type": "string", "pattern": "^(?=.*\\d)(?!foo)\\w{4,8}$"},
    "pattern with odd escapes": {"type": "string", "pattern": "^\\/[\\-\\.]\\_?\\u0041\\x42$"},
    "pattern that is ambiguous": {"type": "string", "pattern": "^" + "(a?|b?)" * 100 + "$"},
    "two patterns": {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "z$"}]},
    "format date": {"type": "string", "format": "date"},
    "format time": {"type": "string", "format": "time"},
    "format date-time": {"type": "string", "format": "date-time"},
    "format uuid": {"type": "string", "format": "uuid"},
    "format ipv4": {"type": "string", "format": "ipv4"},
    "format email": {"type": "string", "format": "email"},
    "format unknown": {"type": "string", "format": "int32"},
    "properties": one(a={"type": "string"}, b={"type": "boolean"}),
    "properties and no type": {"properties": {"a": {"type": "null"}}},
    "optional properties": {
        "type": "object",
        "properties": {name: {"type": "integer"} for name in ("a", "ab", "abc", 'q"')},
        "required": ["ab"],
    },
    "required unlisted": {"type": "object", "required": ["x"]},
    "boolean subschemas": {
        "type": "object",
        "properties": {"extra": True, "never": False, "list": {"type": "array", "items": True}},
        "required": ["extra", "list"],
    },
    "items false": {"type": "array", "items": False},
    "prefixItems and items false": {
        "type": "array",
        "prefixItems": [{"const": 1}, True],
        "items": False,
        "minItems": 2,
    },
    "items as a list": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": [{"type": "string"}, {"type": "null"}],
        "additionalItems": {"type": "boolean"},
        "minItems": 3,
    },
    "additionalProperties": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    },
    "patternProperties": {
        "type": "object",
        "properties": {"xa": {"minimum": 5}},
        "patternProperties": {"^x": {"type": "integer"}, "y$": {"type": "integer", "minimum": 3}},
        "additionalProperties": {"type": "null"},
        "required": ["xa"],
    },
    "propertyNames": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z]{2}$"},
        "additionalProperties": {"type": "integer"},
    },
    "propertyNames of an enum": {
        "type": "object",
        "propertyNames": {"enum": ["a", "b"]},
        "additionalProperties": {"type": "integer"},
        "minProperties": 1,
    },
    "minProperties and maxProperties": {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}},
        "minProperties": 2,
        "maxProperties": 2,
    },
    "minItems and maxItems": {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": 2,
        "maxItems": 3,
    },
    "uniqueItems of an enum": {
        "type": "array",
        "items": {"enum": ["a", "b", "c"]},
        "uniqueItems": True,
        "minItems": 2,
    },
    "uniqueItems of few numbers": {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 4},
        "uniqueItems": True,
        "maxItems": 3,
    },
    "anyOf": {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer", "minimum": 9}]},
    "anyOf beside": {
        **one(a={"type": "integer"}, b={"type": "integer"}),
        "required": [],
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "oneOf of kinds": TREE,
    "allOf": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
            {"properties": {"a": {"maximum": 3}, "b": {"type": "string"}}},
        ]
    },
    "$ref beside others": {
        "$ref": "#/$defs/n",
        "maximum": 5,
        "$defs": {"n": {"type": "integer", "minimum": 3}},
    },
    "definitions": {"$ref": "#/definitions/a", "definitions": {"a": one(b={"type": "null"})}},
    "$anchor": {
        "type": "array",
        "items": {"$ref": "#it"},
        "$defs": {"x": {"$anchor": "it", "const": 1}},
    },
    "not false": {"type": "null", "not": False},
    "what only describes": {
        "title": "t",
        "description": "d",
        "default": 3,
        "examples": [1],
        "deprecated": True,
        "readOnly": True,
        "writeOnly": False,
        "$comment": "c",
        "contentEncoding": "base64",
        "contentMediaType": "text/plain",
        "contentSchema": {},
        "nullable": True,
        "type": "integer",
    },
}

LATER: dict[str, tuple[dict[str, Any], set[str]]] = {
    "uniqueItems": (
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"uniqueItems"},
    ),
    "pattern that looks back": ({"type": "string", "pattern": "(?<=a)b"}, {"pattern"}),
    "pattern that refers back": ({"type": "string", "pattern": "^(a|b)\\1$"}, {"pattern"}),
    "pattern of many states": ({"type": "string", "pattern": "^(.*a.{12})+$"}, {"pattern"}),
    "maxLength": ({"type": "string", "maxLength": 100_000}, {"maxLength"}),
    "minItems": ({"type": "array", "minItems": 5000}, {"minItems"}),
    "maxItems": ({"type": "array", "maxItems": 5000}, {"maxItems"}),
    "minProperties": ({"type": "object", "minProperties": 5000}, {"minProperties"}),
    "maxProperties": ({"type": "object", "maxProperties": 5000}, {"maxProperties"}),
    "multipleOf": ({"type": "integer", "multipleOf": 123_457}, {"multipleOf"}),
    "minimum": ({"type": "number", "minimum": 1e300}, {"minimum"}),
    "maximum": ({"type": "number", "maximum": -1e300}, {"maximum"}),
    "format": ({"type": "string", "format": "uri"}, {"format"}),
    "patternProperties": (
        {"type": "object", "patternProperties": {"(?<=a)b": {"type": "null"}}},
        {"patternProperties"},
    ),
    "propertyNames": (
        {"type": "object", "propertyNames": {"not": {"const": "a"}}},
        {"propertyNames"},
    ),
    "not": ({"type": "integer", "not": {"const": 5}}, {"not"}),
    "oneOf": ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, {"oneOf"}),
    "if": (
        {"type": "integer", "if": {"minimum": 3}, "then": {"multipleOf": 2}, "else": True},
        {"if"},
    ),
    "contains": (
        {"type": "array", "contains": {"const": 1}, "minContains": 2, "maxContains": 3},
        {"contains", "minContains", "maxContains"},
    ),
    "dependentRequired": (
        {"type": "object", "dependentRequired": {"a": ["b"]}},
        {"dependentRequired"},
    ),
    "dependentSchemas": ({"type": "object", "dependentSchemas": {"a": {}}}, {"dependentSchemas"}),
    "dependencies": ({"type": "object", "dependencies": {"a": ["b"]}}, {"dependencies"}),
    "unevaluatedItems": ({"type": "array", "unevaluatedItems": False}, {"unevaluatedItems"}),
    "unevaluatedProperties": (
        {"type": "object", "unevaluatedProperties": False},
        {"unevaluatedProperties"},
    ),
    "$dynamicRef": (
        {"$dynamicRef": "#a", "$defs": {"x": {"$dynamicAnchor": "a"}}},
        {"$dynamicRef"},
    ),
    "$recursiveRef": (
        {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "properties": {"a": {"$recursiveRef": "#"}},
        },
        {"$recursiveRef"},
    ),
}

AMBIGUOUS: dict[str, dict[str, Any]] = {
    "overlapping patterns": {
        "anyOf": [{"type": "string", "pattern": f"[a-z]+{n}"} for n in range(150)]
    },
    "alternatives in alternatives": {
        "$ref": "#/$defs/a",
        "$defs": {
            "a": {
                "anyOf": [
                    {
                        "type": "array",
                        "items": {"$ref": "#/$defs/a"},
                        "prefixItems": [{"type": "string", "maxLength": length}],
                    }
                    for length in (1, 2, 3)
                ]
            }
        },
    },
    "many choices times many": {
        "allOf": [
            {"anyOf": [{"properties": {f"p{n}{m}": {"minLength": m}}} for m in range(10)]}
            for n in range(10)
        ]
    },
}


def _doubling(levels: int) -> dict[str, Any]:
    defs: dict[str, Any] = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{levels}": {"type": "string"}}}


def _fields(number: int, field: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{n}": field(n) for n in range(number)}}


HARD: dict[str, dict[str, Any]] = {
    "long texts": _fields(1000, lambda n: {"type": "string", "maxLength": 2000 - n}),
    "steps": _fields(
        1000, lambda n: {"type": "number", "multipleOf": 1000 + n, "minimum": n, "maximum": 1e30}
    ),
    "bounds": _fields(
        1000, lambda n: {"type": "number", "minimum": 1e30 + n * 1e20, "maximum": 1e38}
    ),
    "one large part in many places": {
        **_fields(1000, lambda n: {"$ref": "#/$defs/a", "minLength": n}),
        "$defs": {"a": {"type": "string", "enum": ["x" * 200_000]}},
    },
    "parts that repeat each other": _doubling(20),
    "needed names": {"type": "object", "required": [f"name{n}" for n in range(9000)]},
    "alternatives that need the same names": {
        "oneOf": [{"type": "object", "$ref": "#/$defs/a", "minProperties": n} for n in range(32)],
        "$defs": {"a": {"type": "object", "required": [f"name{n}" for n in range(9000)]}},
    },
}
"""What a caller may send and no grammar should be made of, or one of a part of it."""
