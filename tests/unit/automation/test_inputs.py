"""Inputs: given values, defaults, and the form."""

from typing import Any

import jsonschema_rs
import pytest

from autobot.automation.inputs import Input, fill_in, form
from autobot.errors import Invalid

INPUTS = {
    "city": Input.model_validate({"type": "string", "default": "Riga", "maxLength": 20}),
    "count": Input.model_validate({"type": "integer", "minimum": 1, "maximum": 9}),
    "tone": Input.model_validate({"type": "string", "enum": ["dry", "warm"], "default": "dry"}),
    "note": Input.model_validate({"type": "string", "default": None}),
    "tags": Input.model_validate({"type": "array", "items": {"type": "string"}, "default": []}),
}


def test_defaults_fill_in_what_is_not_given() -> None:
    assert fill_in(INPUTS, {"count": 3, "tags": ["a"]}) == {
        "city": "Riga",
        "count": 3,
        "tone": "dry",
        "note": None,
        "tags": ["a"],
    }


@pytest.mark.parametrize(
    ("given", "words_of_error"),
    [
        ({}, "inputs.count: a value is needed"),
        ({"count": "3"}, "inputs.count"),
        ({"count": 10}, "inputs.count"),
        ({"count": True}, "inputs.count"),
        ({"count": None}, "inputs.count"),
        ({"count": 1.5}, "inputs.count"),
        ({"count": 1, "tone": "loud"}, "inputs.tone"),
        ({"count": 1, "tags": [1]}, "inputs.tags"),
        ({"count": 1, "city": "x" * 21}, "inputs.city"),
        ({"count": 1, "town": "x"}, "inputs.town: there is no such input; there are city, count"),
    ],
)
def test_a_value_that_does_not_fit_is_named(given: dict[str, Any], words_of_error: str) -> None:
    with pytest.raises(Invalid) as caught:
        fill_in(INPUTS, given)
    assert words_of_error in caught.value.detail


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        fill_in(INPUTS, {"town": 1, "tone": "loud", "tags": "x"})
    for name in ("town", "count", "tone", "tags"):
        assert f"inputs.{name}" in caught.value.detail


def test_a_whole_double_is_an_integer_as_in_json_schema() -> None:
    assert fill_in(INPUTS, {"count": 3.0})["count"] == 3


def test_the_form_is_a_json_schema_that_takes_what_a_run_takes() -> None:
    schema = form(INPUTS)
    jsonschema_rs.meta.validate(schema)
    assert schema["required"] == ["count"]
    assert schema["properties"]["city"] == {"type": "string", "default": "Riga", "maxLength": 20}
    assert jsonschema_rs.is_valid(schema, {"count": 3})
    assert not jsonschema_rs.is_valid(schema, {"count": 3, "town": "x"})
