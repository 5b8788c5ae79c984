"""A document as text: places of mistakes, bounds, round trip, content hash, JSON Schema."""

import json
from contextlib import suppress
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobot.automation.document import Automation
from autobot.automation.errors import InvalidAutomation, Mistake
from autobot.automation.reading import content_hash, dump, load, load_value, plain, schema
from autobot.automation.text import DEEPEST, MOST_LETTERS, read, write

SMALL = "name: a\nsteps:\n- {id: one, use: wait}\n"
VALID = jsonschema_rs.validator_for(dict(schema()))


def mistakes(text: str) -> list[Mistake]:
    """All mistakes that reading a document tells."""
    with pytest.raises(InvalidAutomation) as caught:
        load(text)
    assert caught.value.status == 422
    return list(caught.value.mistakes)


def test_all_mistakes_are_told_each_with_its_line_and_column() -> None:
    text = """\
name: Not A Name
mod: queued
steps:
  - id: first-step
    use: browser.markdown
    retrry: {attempts: 3}
    retry: {attempts: 99}
    if: 5
    timeout: 2 hours
  - {id: fail, use: "x y", needs: first}
  - {use: wait}
on:
  schedule: {cron: "0 7 * * *"}
  foo: {}
"""
    assert [(m.line, m.column, m.path) for m in mistakes(text)] == [
        (1, 7, "name"),
        (2, 1, "mod"),
        (4, 9, "steps[0].id"),
        (6, 5, "steps[0].retrry"),
        (7, 23, "steps[0].retry.attempts"),
        (8, 9, "steps[0].if"),
        (9, 14, "steps[0].timeout"),
        (10, 10, "steps[1].id"),
        (10, 21, "steps[1].use"),
        (10, 35, "steps[1].needs"),
        (11, 5, "steps[2].id"),
        (13, 13, "on.schedule.timezone"),
        (14, 3, "on.foo"),
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (SMALL + "mod: queued", "did you mean 'mode'?"),
        (SMALL + "limits: {itmes: 3}", "did you mean 'items'?"),
        (SMALL + "on: {scheduel: {}}", "did you mean 'schedule'?"),
        (SMALL + "inputs: {a: {type: string, defualt: x}}", "did you mean 'default'?"),
        (SMALL + "on: {schedule: {cron: x, timezone: y, mised: all}}", "did you mean 'missed'?"),
        ("name: a\nsteps: [{id: a, use: wait, form_each: []}]", "did you mean 'for_each'?"),
        (SMALL + "zzz: 1", "known are schema, name, description, on"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(text: str, hint: str) -> None:
    assert any(hint in mistake.message for mistake in mistakes(text))


def test_a_key_that_stands_twice_is_refused_at_its_second_place() -> None:
    [mistake] = mistakes("name: a\n" + SMALL)
    assert (mistake.line, mistake.column, mistake.message) == (2, 1, "the key stands twice")
    assert mistakes('{"name": "a", "name": "b", "steps": [{"id": "a", "use": "wait"}]}')


LAUGHS = "a: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"b{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "words_of_error"),
    [
        (LAUGHS, "too many parts"),
        ("a: &a [*a]", "alias"),
        ("a: &a {b: *a}", "alias"),
        ("[" * 5_000, "levels deep"),
        ("a: " * 50, "map"),
        ('{"a":' * 5_000, "levels deep"),
        ("- " * 5_000 + "x", "levels deep"),
        ("x" * (MOST_LETTERS + 1), "letters"),
        ("a: !!python/object/apply:os.system [id]", "tags"),
        ("!!set {a, b}", "tags"),
        ("a: !secret x", "tags"),
        ("a: !!str 5", "tags"),
        ("a: 1\n---\nb: 2", "second document"),
        ("<<: {a: 1}\nname: b", "key is a text"),
        ("? [a, b]\n: 1", "key is a text"),
        ("", "empty"),
        ("# nothing", "empty"),
        ("a: [1", "did not find"),
        ("a: *b", "alias"),
        ("a: \x00", "control|special|unacceptable"),
        ("a: \ud800", "half a character"),
        ("- 1", "a map is expected"),
        ("name", "a map is expected"),
    ],
)
def test_what_is_no_document_is_refused_with_a_place(text: str, words_of_error: str) -> None:
    found = mistakes(text)
    assert any(word in m.message for m in found for word in words_of_error.split("|")), found
    assert all(m.line >= 1 and m.column >= 1 for m in found)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("No", "No"), ("007", "007"), ("+49", "+49"),
        ("2027-01-01", "2027-01-01"), ("12:30", "12:30"), ("1_000", "1_000"), ("0x1F", "0x1F"),
        (".5", ".5"), ("1.", "1."), (".inf", ".inf"), ("1e999", "1e999"), ("1e3", 1000.0),
        ("-0", 0), ("10", 10), ("1.0", 1.0), ("true", True), ("~", None), ("null", None),
        ('"true"', "true"), ("'1'", "1"), ("|\n  a\n  b\n", "a\nb\n"), ('"\\0"', "\0"),
    ],
)  # fmt: skip
def test_only_numbers_of_json_true_false_and_null_are_no_texts(text: str, value: Any) -> None:
    result = read(f"a: {text}").value["a"]
    assert (result, type(result)) == (value, type(value))


def test_json_is_the_same_form() -> None:
    value = {
        "name": "a",
        "description": "\U0001f600 \t/\x7f\u2028 \\ud83d\\ude00",
        "steps": [{"id": "a", "use": "wait"}],
    }
    expected = load_value(value).automation
    for indent in (None, 2, "\t"):
        for ascii_only in (True, False):
            text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
            assert load(text).automation == expected
    assert expected.description == value["description"]
    for broken in (float("nan"), {1, 2}, "\ud800"):
        with pytest.raises(InvalidAutomation):
            load_value({"name": broken})


def test_the_same_meaning_has_the_same_hash() -> None:
    same = [
        "name: a\non: {schedule: {cron: '0 7 * * *', timezone: UTC}}\n"
        "steps:\n- {id: one, use: wait, timeout: 90m, with: {b: 1, a: [x]}}\n",
        "# a comment\nsteps:\n  - use: wait\n    with: {a: [x], b: 1}\n    id: one\n"
        "    timeout: 5400\n"
        "    retry: {}\nmode: queued\nlimits: {queue: 100}\nschema: 1\n"
        "on: {schedule: [{timezone: UTC, cron: '0 7 * * *', missed: once}]}\nname: a\n",
    ]
    assert len({content_hash(load(text).automation) for text in same}) == 1


STEP = "name: a\nsteps:\n- {{id: a, {}}}\n"
NULL_DEFAULT = "inputs: {a: {type: string, default: null}}"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (SMALL, SMALL.replace("one", "two")),
        (SMALL, SMALL + "mode: single"),
        (SMALL + "inputs: {a: {type: string}}", SMALL + NULL_DEFAULT),
        (STEP.format("use: x, with: {n: 1}"), STEP.format("use: x, with: {n: 1.0}")),
        (STEP.format("use: y"), STEP.format("use: z")),
        (STEP.format("use: x"), STEP.format("use: x, needs: []")),
        (STEP.format("use: x") + "- {id: b, use: x}", STEP.format("use: x").replace("a,", "b,")),
    ],
)  # fmt: skip
def test_another_meaning_has_another_hash(text: str, other: str) -> None:
    assert content_hash(load(text).automation) != content_hash(load(other).automation)


@pytest.mark.parametrize(
    "broken",
    [
        {"steps": [{"id": "a", "use": "wait"}]},
        {"name": "a", "steps": []},
        {"name": "A b", "steps": [{"id": "a", "use": "wait"}]},
        {"name": "a", "steps": [{"id": "a-b", "use": "wait"}]},
        {"name": "a", "steps": [{"id": "a", "use": "wait", "retries": 1}]},
        {"name": "a", "steps": [{"id": "a", "use": "wait", "timeout": "2 h"}]},
        {"name": "a", "steps": [{"id": "a", "use": "wait", "on_unknown": "maybe"}]},
        {"name": "a", "steps": [{"id": "a", "use": "wait"}], "on": {"schedule": {"cron": "x"}}},
        {"name": "a", "steps": [{"id": "a", "use": "wait"}], "mode": "all"},
        {"name": "a", "steps": [{"id": "a", "use": "wait"}], "limits": {"items": 1_001}},
        {"name": "a", "steps": [{"id": "a", "use": "wait"}], "schema": 2},
    ],
)
def test_what_the_published_schema_refuses_is_refused_here(broken: Any) -> None:
    assert not VALID.is_valid(broken)
    with pytest.raises(InvalidAutomation):
        load_value(broken)


def test_the_published_schema_is_one_and_small() -> None:
    jsonschema_rs.meta.validate(dict(schema()))
    assert schema()["additionalProperties"] is False
    assert len(json.dumps(schema())) < 20_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(["1e3", "on", "null", "0", "-1.5", "true", "~", "", "a\nb", " x", "a: b"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "on", "1", "true", "x y", "é"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def deep(value: Any, depth: int) -> bool:
    return depth > DEEPEST - 6 or (
        isinstance(value, dict | list)
        and any(deep(v, depth + 1) for v in (value.values() if isinstance(value, dict) else value))
    )


@pytest.mark.parametrize(
    "text", ["\x85", "a\x85b", "\u2028", "a\nb\u2029", "a\r\nb", "a\n\n", "\n a"]
)
def test_every_kind_of_line_break_is_written_so_that_it_is_read(text: str) -> None:
    assert read(write({"a": text})).value == {"a": text}


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "on", "if"]), JSON, max_size=3).filter(
        lambda v: not deep(v, 0)
    )
)
def test_what_is_written_is_read_as_the_same(arguments: dict[str, Any]) -> None:
    assert typed(read(write({"x": arguments})).value) == typed({"x": arguments})
    document = {"name": "a", "steps": [{"id": "a", "use": "wait", "with": arguments}]}
    first = load_value(document).automation
    again = load(dump(first)).automation
    assert typed(plain(again)) == typed(plain(first))
    assert content_hash(again) == content_hash(first)
    assert VALID.is_valid(plain(first))


def typed(value: Any) -> Any:
    """A value in which 1 and 1.0 are different."""
    return json.dumps(value, sort_keys=True)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="name: steps-[]{}&*!|>'\"\n #a1,?%@`", max_size=60))
def test_any_text_is_a_document_or_has_mistakes(text: str) -> None:
    with suppress(InvalidAutomation):
        load(text)
    with suppress(InvalidAutomation):
        load(SMALL + text)


KEYS = [
    *(field.alias or name for name, field in Automation.model_fields.items()),
    *("id", "use", "with", "schedule", "items", "retry"),
]


@settings(max_examples=200, deadline=None)
@given(st.recursive(JSON, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)))
def test_any_value_is_a_document_or_has_mistakes_in_order(value: Any) -> None:
    try:
        load_value(value)
    except InvalidAutomation as error:
        places = [(mistake.line, mistake.column) for mistake in error.mistakes]
        assert places == sorted(places)
