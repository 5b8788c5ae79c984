"""What is a schema, and what a stranger's schema cannot do."""

from typing import Any

import pytest

from autobot.errors import Invalid
from autobot.json_schema import checked, moved

SLOW = [
    r"^(a+)+$",
    r"^(a|a)*b$",
    r"^(?:(?=a)a|a(?!c))+$",  # looks ahead, so no automaton of linear time exists for it
    r"(?=(a+))(a*)*\1c",
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_that_could_run_for_hours_gives_up_and_does_not_match(pattern: str) -> None:
    schema = {"properties": {"a": {"pattern": pattern}}, "patternProperties": {pattern: {}}}
    validator = checked(schema, "here")
    assert not validator.is_valid({"a": "a" * 5000 + "!"})
    assert not validator.is_valid({"a" * 5000 + "!": 1, "a": "!"})


@pytest.mark.parametrize("pattern", ["(", "(a{1,1000}){1,1000}", "a{2,1}", r"(?P<name>a)\Z"])
def test_a_pattern_that_is_none_of_ecmascripts_or_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid, match="here: not a JSON schema: properties/a/pattern: "):
        checked({"properties": {"a": {"pattern": pattern}}}, "here")


@pytest.mark.parametrize(
    "pattern", [r"^\d{4}-\d{2}$", r"^[\w\-.]+@[^\]]+$", r"^\/[a-z]+$", r"^(?!x)\p{L}+$", "(?i)^A$"]
)
def test_patterns_that_clients_write_are_understood(pattern: str) -> None:
    checked({"pattern": pattern}, "here")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 5},
        {"$schema": 5},
        {"required": "city"},
        {"multipleOf": 0},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "etc/passwd"},
        {"$dynamicRef": "https://example.com/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"const": float("nan")},
        {"const": "half a pair: \ud83d"},
        {"enum": list(range(10_001))},
    ],
)
def test_what_is_no_schema_or_points_elsewhere_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="here: "):
        checked({"properties": {"a": schema}}, "here")


@pytest.mark.parametrize(
    "dialect",
    [
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-07/schema#",
        "http://json-schema.org/schema#",
    ],
)
def test_a_format_only_describes_whatever_the_dialect(dialect: str) -> None:
    validator = checked({"$schema": dialect, "type": "string", "format": "email"}, "here")
    assert validator.is_valid("not an address")
    assert not validator.is_valid(1)


def test_references_that_go_round_end() -> None:
    defs = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
    checked({"$defs": defs, "$ref": "#/$defs/a"}, "here").is_valid(1)
    tree = checked({"type": "object", "additionalProperties": {"$ref": "#"}}, "here")
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"a": deep}
    assert tree.is_valid(deep)


def test_a_moved_schema_means_the_same() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}}}
    inside = {"$defs": {"it": moved(schema, "#/$defs/it")}, "$ref": "#/$defs/it"}
    assert checked(inside, "here").is_valid({"n": 1})
    assert not checked(inside, "here").is_valid({"n": "one"})
