"""Grammars of strings, numbers and the values of an enumeration."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from math import lcm
from typing import Any

from jsonschema_rs import validator_for

from deployments.llm.grammar import numbers, pattern
from deployments.llm.grammar.automaton import (
    Automaton,
    GrammarTooLarge,
    Work,
    counted,
    together,
    words,
)
from deployments.llm.grammar.facts import Contradiction, Facts
from deployments.llm.grammar.formats import HELD, VALIDATED
from deployments.llm.grammar.nodes import Alt, Lit, Node, Seq, Term
from deployments.llm.grammar.numbers import Bounds
from deployments.llm.grammar.pattern import NotRegular

ANY_NUMBER = r"^-?(0|[1-9]\d{0,15})(\.\d{1,15})?([eE][-+]?\d{1,2})?$"
LONGEST = 2000
LETTERS = 20
"""Of JSON, that are written while an arrow is looked at, with what else is done with them."""


@cache
def any_text() -> Automaton:
    """Any string at all. It is always the same object, by which `Values` knows it."""
    return counted(0, None, Work())


@cache
def any_number() -> Automaton:
    """At most 16 digits before the point, 15 behind it and 2 in the exponent."""
    return pattern.automaton(ANY_NUMBER, Work())


@cache
def _format(name: str) -> Automaton:
    return pattern.automaton(HELD[name], Work())


@cache
def any_integer() -> Automaton:
    """At most 16 digits, without an exponent."""
    return numbers.automaton(Bounds(), Work(), whole=True)


class Values:
    """Adds to ``later`` what it cannot hold; nothing but types when it is not ``exact``."""

    def __init__(self, later: set[str], work: Work, *, exact: bool) -> None:
        self._later, self._work, self._exact = later, work, exact
        self._texts: dict[object, Automaton] = {}
        self._known: dict[tuple[Bounds, bool], Automaton] = {}

    def string(self, facts: Facts) -> Node:
        """The string in its quotes. Raises `Contradiction` as `text` does."""
        return Seq((Lit('"'), Term(self.text(facts), quoted=True)))

    def text(self, facts: Facts) -> Automaton:
        """Of a string's content. The same constraints are the same automaton."""
        key = (*facts.patterns, *facts.formats, facts.shortest, facts.longest)
        if key not in self._texts:
            self._texts[key] = self._text(facts)
        if self._texts[key].empty:
            raise Contradiction
        return self._texts[key]

    def _text(self, facts: Facts) -> Automaton:
        found = any_text()
        if not self._exact:
            named = {"pattern": facts.patterns, "minLength": facts.shortest}
            named |= {"maxLength": facts.longest is not None, "format": facts.formats}
            self._later |= {keyword for keyword, used in named.items() if used}
            return found
        for one in facts.patterns:
            found = self._with("pattern", found, lambda one=one: pattern.automaton(one, self._work))
        for name in facts.formats:
            if name in HELD:
                found = self._with("format", found, lambda name=name: _format(name))
            elif name in VALIDATED:
                self._later.add("format")
        least, most = facts.shortest, facts.longest
        if most is not None and most > LONGEST:
            self._later.add("maxLength")
            most = None
        if least or most is not None:
            keyword = "minLength" if most is None else "maxLength"
            found = self._with(keyword, found, lambda: counted(least, most, self._work))
        return found

    def _with(self, keyword: str, found: Automaton, make: Any) -> Automaton:
        try:
            made: Automaton = make()
            return made if found is any_text() else together(found, made, self._work)
        except (GrammarTooLarge, NotRegular):
            self._later.add(keyword)
            return found

    def number(self, facts: Facts) -> Node:
        """Bounds or steps that take too many states are named in ``later`` instead.

        Raises `Contradiction` when no number is left.
        """
        return self._numbers(facts, whole=False)

    def integer(self, facts: Facts) -> Node:
        """As `number`, for whole numbers."""
        return self._numbers(facts, whole=True)

    def _numbers(self, facts: Facts, *, whole: bool) -> Node:
        step = _common(facts.steps)
        bounds = Bounds(facts.low, facts.low_open, facts.high, facts.high_open, step)
        if not self._exact:
            bounds = Bounds()
            self._left_out(facts, "minimum", "maximum", "multipleOf")
        without_step = Bounds(facts.low, facts.low_open, facts.high, facts.high_open)
        tries = ((bounds, ()), (without_step, ("multipleOf",)), (Bounds(), ("minimum", "maximum")))
        for one, left_out in tries:
            self._left_out(facts, *left_out)
            if one == Bounds():
                return Term(any_integer() if whole else any_number())
            try:
                found = self._number(one, whole=whole)
            except GrammarTooLarge:
                continue
            if found.empty:
                raise Contradiction
            return Term(found)
        raise GrammarTooLarge

    def _number(self, bounds: Bounds, *, whole: bool) -> Automaton:
        key = (bounds, whole)
        if key not in self._known:
            self._known[key] = numbers.automaton(bounds, self._work, whole=whole)
        return self._known[key]

    def _left_out(self, facts: Facts, *keywords: str) -> None:
        used = {"minimum": facts.low is not None, "maximum": facts.high is not None}
        used["multipleOf"] = bool(facts.steps)
        self._later |= {keyword for keyword in keywords if used[keyword]}

    def boolean(self, _: Facts) -> Node:
        return Alt((Lit("true"), Lit("false")))

    def null(self, _: Facts) -> Node:
        return Lit("null")

    def one_of(self, facts: Facts) -> Node:
        """The values of the enumeration that are `allowed`. Raises `Contradiction` when none is."""
        texts = [json.dumps(value, ensure_ascii=False) for value in self.allowed(facts)]
        if not texts:
            raise Contradiction
        if len(texts) == 1:
            return Lit(texts[0])
        return Term(words(texts, self._work))

    def allowed(self, facts: Facts) -> list[Any]:
        """The values of an enumeration that the other keywords allow too."""
        return self.within(facts, facts.enum or ())

    def within(self, facts: Facts, values: Sequence[Any]) -> list[Any]:
        """Those of ``values`` that all keywords allow."""
        schema = {"allOf": [_without_names(one) for one in facts.conjuncts]}
        text = json.dumps(schema)
        self._work.spend(len(text) // LETTERS)
        if '"$ref"' in text or '"$dynamicRef"' in text:
            self._later.add("enum")
            return list(values)
        check = validator_for(schema, offline=True, validate_formats=True)
        return [value for value in values if check.is_valid(value)]


def _without_names(schema: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("$id", "id", "$anchor", "$dynamicAnchor", "$schema", "$defs", "definitions", "$ref")
    left_out += ("allOf", "anyOf", "oneOf")
    return {key: value for key, value in schema.items() if key not in left_out}


def _common(steps: Sequence[Decimal]) -> Decimal | None:
    """The smallest number that is a multiple of all."""
    if not steps:
        return None
    places = max(max(0, -int(one.normalize().as_tuple().exponent)) for one in steps)
    if places > numbers.LONGEST or any(one.adjusted() > numbers.LONGEST for one in steps):
        return steps[0]
    whole = [int(one.scaleb(places)) for one in steps]
    return Decimal(lcm(*whole)).scaleb(-places)
