"""What is a schema, and what a stranger's schema cannot do."""

import time
from typing import Any

import pytest

from autobot.errors import Invalid
from autobot.schemas.json_schema import MOST_LETTERS, Budget, checked, moved, targets

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
def test_a_known_format_is_a_promise_and_another_describes_whatever_the_dialect(
    dialect: str,
) -> None:
    validator = checked({"$schema": dialect, "type": "string", "format": "email"}, "here")
    assert validator.is_valid("a@example.org")
    assert not validator.is_valid("not an address")
    validator = checked({"$schema": dialect, "type": "string", "format": "telephone"}, "here")
    assert validator.is_valid("not a number")
    assert not validator.is_valid(1)


def test_references_to_anchors_hold_when_a_schema_is_placed_below_another() -> None:
    schema = {"$ref": "#it", "$defs": {"x": {"$anchor": "it", "const": 1}, "y": {"$ref": "#"}}}
    placed = {"$defs": {"a": moved(schema, "#/$defs/a")}}
    assert placed["$defs"]["a"]["$ref"] == "#it"
    assert targets(placed)("#it") == {"$anchor": "it", "const": 1}
    assert targets(placed)(placed["$defs"]["a"]["$defs"]["y"]["$ref"]) == placed["$defs"]["a"]


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def doubling(keyword: str, levels: int) -> dict[str, Any]:
    """A schema of a few lines that looks at its value ``2 ** levels`` times."""
    defs: dict[str, Any] = {
        str(n): {keyword: [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/0", "$defs": {**defs, str(levels): {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"anyOf": [{"type": "string"}, {"not": {"$ref": "#"}}]},
        {"$anchor": "me", "allOf": [{"$dynamicRef": "#me"}]},
    ],
)
def test_references_that_go_round_on_one_part_of_a_value_are_refused(
    schema: dict[str, Any],
) -> None:
    with pytest.raises(Invalid, match="here: '\\$ref' leads in a circle"):
        checked(schema, "here")


def test_references_that_go_round_through_a_value_end_with_it() -> None:
    tree = checked({"type": "object", "additionalProperties": {"$ref": "#"}}, "here")
    assert tree.is_valid(nested(900))
    assert not tree.is_valid({"a": {"a": "a leaf that is no object"}})
    assert tree.fault({"a": {"a": 1}}).startswith("a.a: ")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_double_at_each_step_are_refused(keyword: str) -> None:
    with pytest.raises(Invalid, match="here: the schema's references repeat"):
        checked(doubling(keyword, 40), "here")
    few = checked(doubling(keyword, 16), "here")
    assert not few.is_valid(1)
    assert few.fault(1) == "it is not valid under the schema"
    assert checked(doubling(keyword, 3), "here").fault(1).startswith("the object: ")


@pytest.mark.timeout(20)
def test_a_schema_that_doubles_at_each_step_into_a_value_is_no_judge_of_deep_ones() -> None:
    below = {"properties": {"a": {"$ref": "#"}}}
    schema = checked({"type": "object", "allOf": [below, below]}, "here")
    assert schema.is_valid(nested(8))
    assert not schema.is_valid(nested(60))
    assert schema.fault(nested(60)) == "it is too large or too deep for this schema"


def test_an_expression_that_may_be_one_of_many_is_understood() -> None:
    def of(op: str) -> dict[str, Any]:
        sides = {side: {"$ref": "#/$defs/expression"} for side in ("left", "right")}
        properties = {"op": {"const": op}, **sides}
        return {"type": "object", "properties": properties, "required": [*properties]}

    ways = [{"type": "number"}, *map(of, "+-*/")]
    schema = checked(
        {"$ref": "#/$defs/expression", "$defs": {"expression": {"anyOf": ways}}}, "here"
    )
    value: Any = 1
    for _ in range(6):
        value = {"op": "/", "left": value, "right": 2}
    assert schema.is_valid(value)
    assert not schema.is_valid({**value, "right": "two"})


@pytest.mark.parametrize(
    "reference", ["#/$defs/a~1b/items/0", "#/%24defs/a~1b/items/0", "#it", "#"]
)
def test_references_lead_to_where_they_say(reference: str) -> None:
    defs = {"a/b": {"items": [{"$anchor": "it", "type": "array"}]}}
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": ["array", "object"]}
    if reference == "#it":
        schema = {"type": ["array", "object"]}
        defs = {"a/b": {"$anchor": "it", "type": "array"}}
    whole = {**schema, "$defs": defs, "properties": {"x": {"$ref": reference}}}
    assert checked(whole, "here").is_valid({"x": []})


@pytest.mark.parametrize("name", ["$id", "id"])
def test_a_reference_that_starts_elsewhere_is_refused(name: str) -> None:
    checked({"$id": "https://example.com/all", "properties": {"$id": {"type": "string"}}}, "here")
    checked({"properties": {"a": {name: "https://example.com/a", "type": "string"}}}, "here")
    seven = "http://json-schema.org/draft-07/schema#"
    checked({"$schema": seven, "properties": {"a": {name: "#/properties/a"}}}, "here")
    part = {name: "https://example.com/a", "anyOf": [{"$ref": "#/$defs/b"}]}
    with pytest.raises(Invalid, match="may not stand below an"):
        checked({"properties": {"a": part}, "$defs": {"b": {}}}, "here")


def test_an_anchor_that_names_two_parts_is_refused() -> None:
    named = {"$anchor": "a", "type": "string"}
    checked({"$ref": "#a", "$defs": {"a": named}}, "here")
    with pytest.raises(Invalid, match="names two parts"):
        checked({"$ref": "#a", "$defs": {"a": named}, "default": {"$anchor": "a"}}, "here")


@pytest.mark.parametrize("keyword", ["examples", "default", "const", "enum"])
def test_data_that_looks_like_a_schema_is_none(keyword: str) -> None:
    data: Any = {"$ref": "#/components/schemas/Pet", "allOf": [[[{"$ref": "#"}]]]}
    value = [data] if keyword in ("examples", "enum") else data
    assert checked({keyword: value}, "here").is_valid(data)


def test_a_place_that_cannot_be_is_no_crash() -> None:
    schema = {"allOf": [{}], "properties": {"a": {"$ref": "#/allOf/" + "1" * 5000}}}
    with pytest.raises(Invalid):
        checked(schema, "here")


@pytest.mark.timeout(20)
def test_patterns_that_give_up_and_long_lists_of_objects_count_for_more() -> None:
    for leaf in ({"pattern": r"^(?:(a+)\1?)+b"}, {"enum": [{"a": n} for n in range(4000)]}):
        schema = doubling("anyOf", 16)
        schema["$defs"]["16"] = leaf
        with pytest.raises(Invalid, match="repeat"):
            checked(schema, "here")


@pytest.mark.parametrize(("variants", "levels"), [(10, 4), (20, 3), (50, 2)])
def test_a_tree_of_one_of_many_kinds_is_understood(variants: int, levels: int) -> None:
    def kind(name: str) -> dict[str, Any]:
        children = {"type": "array", "items": {"$ref": "#/$defs/block"}}
        properties = {"type": {"const": name}, "children": children}
        return {"type": "object", "properties": properties, "required": ["type"]}

    kinds = [kind(str(n)) for n in range(variants)]
    schema = checked({"$ref": "#/$defs/block", "$defs": {"block": {"anyOf": kinds}}}, "here")
    value: dict[str, Any] = {"type": "3"}
    for _ in range(levels - 1):
        value = {"type": "5", "children": [value]}
    assert schema.is_valid(value)


def test_what_is_no_json_is_not_valid() -> None:
    schema = checked({"type": "string"}, "here")
    assert not schema.is_valid("half a pair: \ud83d")
    assert schema.fault("half a pair: \ud83d") == "it holds half a character"


def test_a_moved_schema_means_the_same() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}}}
    inside = {"$defs": {"it": moved(schema, "#/$defs/it")}, "$ref": "#/$defs/it"}
    assert checked(inside, "here").is_valid({"n": 1})
    assert not checked(inside, "here").is_valid({"n": "one"})


def asked_twice(keyword: str, levels: int) -> dict[str, Any]:
    """A page of schema that jsonschema-rs, which looks into references for what these two keywords
    need to know, would read ``4 ** levels`` times before it is ever applied."""
    below = [{"$ref": f"#/$defs/{n + 1}"} for n in range(levels)]
    defs: dict[str, Any] = {
        str(n): {"if": one, "then": one, "else": one, keyword: one} for n, one in enumerate(below)
    }
    return {"type": "object", "$ref": "#/$defs/0", "$defs": {**defs, str(levels): {}}}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "unevaluatedItems"])
@pytest.mark.parametrize("levels", [9, 13, 25])
def test_a_schema_is_counted_before_it_is_read(keyword: str, levels: int) -> None:
    with pytest.raises(Invalid, match="repeat each other too often"):
        checked(asked_twice(keyword, levels), "here")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", ["pattern", "patternProperties"])
def test_patterns_that_are_large_and_many_are_refused(place: str) -> None:
    patterns = [rf"^\p{{L}}{{{100 + n}}}$" for n in range(1000)]
    schema: dict[str, Any] = {"properties": {p: {"pattern": p} for p in patterns}}
    if place == "patternProperties":
        schema = {place: {p: {"type": "string"} for p in patterns}}
    began = time.thread_time()
    with pytest.raises(Invalid, match="here: the schema's patterns are too many or too large"):
        checked(schema, "here")
    assert time.thread_time() - began < 2


def test_a_schema_of_very_many_letters_is_refused() -> None:
    with pytest.raises(Invalid, match="here: more than 262144 letters"):
        checked({"const": "a" * MOST_LETTERS}, "here")
    checked({"const": "a" * (MOST_LETTERS - 100)}, "here")


def test_schemas_of_one_request_share_what_may_be_read() -> None:
    budget = Budget()
    schema = {"const": "a" * (MOST_LETTERS // 3)}
    checked(schema, "one", budget)
    checked(schema, "two", budget)
    with pytest.raises(Invalid, match="three: more than"):
        checked(schema, "three", budget)


@pytest.mark.timeout(30)
def test_what_is_no_pattern_hides_none_that_takes_long() -> None:
    """Data too: a default is nobody's pattern, and no mistake either."""
    hard = {f"p{n}": {"pattern": rf"^\p{{L}}{{{200 + n}}}$"} for n in range(200)}
    for first in ({"default": {"pattern": "("}}, {"pattern": "("}):
        began = time.process_time()
        with pytest.raises(Invalid, match="too many or too large"):
            checked({**first, "properties": hard}, "here")
        assert time.process_time() - began < 3
    assert checked({"default": {"pattern": "("}}, "here").is_valid(1)


HEAVY = [
    "^(?:(?:a?){1000}){20}b$",
    "^(?:(?:a?){1000}){100}b$",
    "^(?:(?:a|aa|aaa){1,100}){100}$",
    "(?:(?:a?){100}){100}b$",
    "^" + "a?" * 20_000 + "b$",
    "a" * 20_000 + "b",
    "^(?:" + "|".join("a" * n for n in range(1, 200)) + ")*b$",
    "^(?=(?:(?:a?){1000}){100}b$)a*$",
    "^(?!(?:(?:a?){1000}){100}b$)a*$",
    "^(?:(?=(?:a?){20}[ab]*c)a)*$",
    "^(?:(?=[ab]*c|a)a)*$",
    r"^(?:(?:a?){500}){20}\p{L}{40}b$",
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", HEAVY)
@pytest.mark.parametrize("number", [1, 40])
def test_a_value_that_a_pattern_would_take_long_for_is_not_valid(pattern: str, number: int) -> None:
    many = [f"{pattern}|{n}{n}" for n in range(number - 1)]
    schema = {"allOf": [{"pattern": one} for one in (pattern, *many)]}
    try:
        check = checked(schema, "here")
    except Invalid:
        return
    for length in (200, 8000, 60_000):
        began = time.thread_time()
        assert not check.is_valid("a" * length + "!")
        assert check.fault("a" * length + "!")
        assert time.thread_time() - began < 4, length


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^.{1,2000}$", "x" * 2000),
        (r"^[^<>]{0,5000}$", "x" * 5000),
        (r"^(?=.*\d)(?=.*[a-z]).{8,}$", "abcdefg1"),
        (r"^(?!-)[a-z0-9-]+$", "a-slug-of-words"),
        (r"^\d{4}-\d{2}-\d{2}$", "2026-11-28"),
        (r"^https?://[^\s/$.?#].[^\s]*$", "https://example.org/" + "x" * 1000),
        (r"^(" + "|".join(f"word{n}" for n in range(300)) + ")$", "word17"),
    ],
)
def test_what_is_ordinary_is_looked_at_beside_much_else(pattern: str, text: str) -> None:
    schema = {"properties": {"a": {"pattern": pattern}, "text": {"type": "string"}}}
    check = checked(schema, "here")
    assert check.fault({"a": text, "text": "words " * 400}) == ""
    assert "does not match" in check.fault({"a": "<\n>", "text": "words"})
