"""Schemas as grammars: whatever can be decoded is valid, or what has to be validated is named."""

import json
import time
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import Any

import pytest

from autobot.errors import Invalid
from autobot.schemas.json_schema import checked, targets
from deployments.llm import grammar
from deployments.llm.grammar import facts
from deployments.llm.grammar.bound import grammar_of, relaxed
from deployments.llm.grammar.compiler import Compiler, compiled
from deployments.llm.grammar.factor import MOST_ALIVE, Factored
from deployments.llm.grammar.nodes import Ref, Rules
from tests.unit.llm.grammar.schemas_of_keywords import AMBIGUOUS, HARD, HELD, LATER, one
from tests.unit.llm.samples import Samples

TEXTS = 150


def rules_of(schema: dict[str, Any], level: str = "all") -> tuple[Rules, str, set[str]]:
    compiler = Compiler(targets(schema), level)
    factored = Factored({**compiler.rules, **_with_root(compiler, schema)}, "")
    return factored.rules, factored.root, compiler.later


def _with_root(compiler: Compiler, schema: dict[str, Any]) -> Rules:
    root = compiler.node(schema)
    return {**compiler.rules, "": root}


@pytest.mark.parametrize("name", HELD)
def test_whatever_a_complete_grammar_lets_through_is_valid(name: str) -> None:
    schema = HELD[name]
    check = checked(schema, "schema")
    rules, root, later = rules_of(schema)
    assert later == set()
    samples = Samples(rules)
    for _ in range(TEXTS):
        text = samples.text(Ref(root))
        assert check.fault(json.loads(text)) == "", text


@pytest.mark.parametrize("name", LATER)
def test_what_a_grammar_does_not_hold_is_named(name: str) -> None:
    schema, later = LATER[name]
    checked(schema, "schema")
    assert grammar_of(schema).later == later


def test_no_keyword_of_the_drafts_is_ignored() -> None:
    used = {
        keyword
        for schema in [*HELD.values(), *(schema for schema, _ in LATER.values())]
        for keyword in _keywords(schema)
    }
    assert set(facts.AFTERWARDS) <= used
    assert {keyword for keywords in facts.HINTS.values() for keyword in keywords} <= used


def _keywords(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(_keywords, part))
    if isinstance(part, dict):
        return {*part}.union(*map(_keywords, part.values()))
    return set()


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_too_many_ways_to_read_a_text_are_never_given_to_an_engine(name: str) -> None:
    found = grammar_of(AMBIGUOUS[name])
    assert found.later, "what is left out is validated"
    assert found.text.count("::=") < 200


def test_a_pattern_has_one_way_to_be_read_however_it_is_written() -> None:
    rules, _, _ = rules_of(HELD["pattern that is ambiguous"])
    text = grammar_of(HELD["pattern that is ambiguous"]).text
    assert len(rules) < 10
    for line in text.splitlines():
        assert line.count("|") < 4


def test_difficult_schemas_take_seconds_of_a_processor_at_most() -> None:
    hard = {f"p{n}": {"type": "string", "pattern": f"^(.*a.{{{n}}})+$"} for n in range(8, 60)}
    began = time.process_time()
    assert grammar_of(one(**hard)).later == {"pattern"}
    assert time.process_time() - began < 10


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HARD)
def test_a_schema_that_was_made_to_be_large_takes_seconds_and_makes_no_large_grammar(
    name: str,
) -> None:
    checked(HARD[name], "schema")
    began = time.process_time()
    found = grammar_of(HARD[name])
    assert time.process_time() - began < 10
    assert found.later
    assert len(found.text) < 4_000_000


def test_what_strangers_send_is_kept_in_caches_that_have_a_bound() -> None:
    modules = [
        import_module(f"{grammar.__name__}.{one.name}") for one in iter_modules(grammar.__path__)
    ]
    cached = {f for module in modules for f in vars(module).values() if hasattr(f, "cache_info")}
    endless = {f for f in cached if f.cache_parameters()["maxsize"] is None}
    assert cached - endless
    # A format's name is one of ours.
    assert {f.__name__ for f in endless if signature(f).parameters} == {"_format"}


def test_hundred_optional_properties_are_held() -> None:
    schema = {
        "type": "object",
        "properties": {f"property_{n}": {"type": "string"} for n in range(100)},
    }
    assert grammar_of(schema).complete


def test_unions_are_written_once_up_to_where_they_differ() -> None:
    rules, _, later = rules_of(HELD["oneOf of kinds"])
    assert not later
    assert len(rules) < 60 < MOST_ALIVE


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"enum": []},
        {"type": "string", "enum": [1, 2]},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "array", "items": False, "minItems": 1},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"not": {}},
    ],
)
def test_a_schema_that_nothing_keeps_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="no value is valid"):
        compiled(schema, targets(schema), "schema")


def test_other_engines_are_given_no_pattern_and_no_boolean_schema() -> None:
    schema = one(
        a=True, b={"type": "string", "pattern": "(a?|b?)*"}, c={"type": "array", "items": True}
    )
    sent = relaxed(schema)
    assert sent["properties"] == {"a": {}, "b": {"type": "string"}, "c": {"type": "array"}}
    arrays = [{"type": "array", "items": {"$ref": "#"}, "maxItems": most} for most in (1, 2, 3)]
    assert relaxed({"anyOf": arrays}) == {}, "they do not say which was begun"
