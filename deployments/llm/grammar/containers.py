"""Grammars of objects and arrays: one rule for each place in them, the next named by the last."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, Protocol

from deployments.llm.grammar import pattern
from deployments.llm.grammar.automaton import Automaton, GrammarTooLarge, Work, together, words
from deployments.llm.grammar.facts import (
    Contradiction,
    Facts,
    Schema,
    item_schemas,
    named_properties,
    placed_items,
)
from deployments.llm.grammar.nodes import Alt, Lit, Node, Ref, Seq, Term
from deployments.llm.grammar.pattern import NotRegular
from deployments.llm.grammar.values import Values, any_text

MOST_PLACES = 400
MOST_NAMES = 2000
"""Of properties, times how many there may be where that is counted."""
MOST_PATTERNS = 3
MOST_DISTINCT = 8
"""So many values without a repetition take 2^8 rules."""
INDENT = 20


class Rules(Protocol):
    """What objects and arrays need of the `Compiler` they are part of."""

    rules: dict[str, Node]
    later: set[str]
    work: Work
    values: Values

    def name(self) -> str:
        """The name of a new rule. It holds nothing until it is set in ``rules``.

        Raises `GrammarTooLarge` when there are too many.
        """
        ...

    def node(self, schema: Any) -> Node:
        """The rule of values valid under ``schema``. Raises `Contradiction` when there are none."""
        ...

    def facts(self, schema: Any) -> tuple[Facts, list[tuple[str, list[Any]]]]:
        """What is asked of a value, and the lists of which one has to be valid as well."""
        ...


@dataclass(frozen=True)
class _Property:
    head: Node
    """The name in quotes, with its colon."""
    value: Node
    needed: bool = False


class Containers:
    def __init__(self, compiler: Rules) -> None:
        self._to = compiler
        self._space = Term(_space())
        self._gap = Term(_gap())

    def object(self, facts: Facts) -> Node:
        """Named properties come first, in the schema's order; others follow.

        Raises `Contradiction` when no object is valid, `GrammarTooLarge` for too many properties.
        """
        names = list(dict.fromkeys([*named_properties(facts.objects), *facts.required]))
        if len(names) > MOST_NAMES:
            raise GrammarTooLarge
        patterns = self._patterns(facts)
        allowed = self._names(facts)
        listed = [p for name in names if (p := self._listed(facts, name, patterns, allowed))]
        extras = list(self._extras(facts, names, patterns, allowed))
        return self._chain(facts, listed, extras)

    def _chain(
        self, facts: Facts, listed: Sequence[_Property], extras: Sequence[_Property]
    ) -> Node:
        """From the last property to the first, for each number of those already there."""
        fewest, most = self._limits(facts, listed, extras)
        cap = max(fewest, most or 0)
        if (len(listed) + 1) * (cap + 1) > MOST_NAMES:
            raise GrammarTooLarge
        places = [(first, count) for first in (False, True) for count in range(cap + 1)]
        after: dict[tuple[bool, int], Node] = {}
        for place in places:
            after[place] = Ref(self._to.name())
        for place in reversed(places):  # those with more in them first
            ways = self._extra_ways(extras, after, place, cap, most)
            if place[1] >= fewest:
                ways.append(Seq((self._space, Lit("}"))))
            self._to.rules[after[place].name] = Alt(tuple(ways), apart=True)  # pyright: ignore
        dead = {place for place in places if not self._to.rules[after[place].name].options}  # pyright: ignore
        for place in dead:
            del after[place]
        for one in reversed(listed):
            before: dict[tuple[bool, int], Node] = {}
            for first, count in places:
                ways = [after[first, count]] if not one.needed and (first, count) in after else []
                there = (False, min(count + 1, cap))
                if there in after and (most is None or count < most):
                    ways.insert(0, self._pair(one, after[there], first=first))
                if ways:
                    name = self._to.name()
                    self._to.rules[name] = Alt(tuple(ways), apart=True)
                    before[first, count] = Ref(name)
            after = before
        if (True, 0) not in after:
            raise Contradiction
        return Seq((Lit("{"), after[True, 0]))

    def _extra_ways(
        self,
        extras: Sequence[_Property],
        after: Mapping[tuple[bool, int], Node],
        place: tuple[bool, int],
        cap: int,
        most: int | None,
    ) -> list[Node]:
        first, count = place
        if most is not None and count >= most:
            return []
        there = after[False, min(count + 1, cap)]
        return [self._pair(one, there, first=first) for one in extras]

    def _pair(self, one: _Property, then: Node, *, first: bool) -> Node:
        begin = () if first else (Lit(","),)
        return Seq((*begin, self._space, one.head, self._gap, one.value, then))

    def _limits(
        self, facts: Facts, listed: Sequence[_Property], extras: Sequence[_Property]
    ) -> tuple[int, int | None]:
        """How many properties there must and may be, where that is not said by their names."""
        needed = sum(one.needed for one in listed)
        fewest = 0 if needed >= facts.fewest else facts.fewest
        most = facts.most
        if most is not None and not extras and most >= len(listed):
            most = None
        if fewest > MOST_PLACES:
            self._to.later.add("minProperties")
            fewest = 0
        if most is not None and most > MOST_PLACES:
            self._to.later.add("maxProperties")
            most = None
        return fewest, most

    def _patterns(self, facts: Facts) -> dict[str, Automaton]:
        found: dict[str, Automaton] = {}
        for text in dict.fromkeys(t for o in facts.objects for t in o.get("patternProperties", {})):
            try:
                if len(found) == MOST_PATTERNS:
                    raise NotRegular
                found[text] = pattern.automaton(text, self._to.work)
            except NotRegular:
                self._to.later.add("patternProperties")
        return found

    def _names(self, facts: Facts) -> Automaton:
        """What a name may be."""
        if not facts.names:
            return any_text()
        wanted, choices = self._to.facts({"allOf": [{"type": "string"}, *facts.names]})
        if choices or wanted.later:
            self._to.later.add("propertyNames")
            return any_text()
        if wanted.enum is not None:
            return words(
                [v for v in self._to.values.allowed(wanted) if isinstance(v, str)], self._to.work
            )
        try:
            return self._to.values.text(wanted)
        except Contradiction:
            return words([], self._to.work)

    def _listed(
        self, facts: Facts, name: str, patterns: Mapping[str, Automaton], allowed: Automaton
    ) -> _Property | None:
        """None for one that cannot be there."""
        needed = name in facts.required
        parts: list[Schema] = []
        for one in facts.objects:
            own = [one["properties"][name]] if name in one.get("properties", {}) else []
            own += [
                part
                for text, part in one.get("patternProperties", {}).items()
                if text in patterns and patterns[text].accepts_text(name)
            ]
            parts += own or [one.get("additionalProperties", True)]
        try:
            if not allowed.accepts_text(name):
                raise Contradiction
            value = self._all(parts)
        except Contradiction:
            if needed:
                raise
            return None
        return _Property(Lit(f"{json.dumps(name, ensure_ascii=False)}:"), value, needed)

    def _extras(
        self,
        facts: Facts,
        names: Sequence[str],
        patterns: Mapping[str, Automaton],
        allowed: Automaton,
    ) -> Iterator[_Property]:
        """Names that are not listed, by the patterns they match."""
        if "patternProperties" in self._to.later:
            return
        for size in range(len(patterns) + 1):
            for matched in combinations(patterns, size):
                try:
                    if not matched and not self._open(facts, names):
                        continue
                    listed = words(names, self._to.work)
                    found = together(allowed, listed, self._to.work, minus=True)
                    for text, one in patterns.items():
                        found = together(found, one, self._to.work, minus=text not in matched)
                    if found.empty:
                        continue
                    value = self._all(_extra_schemas(facts, matched))
                except Contradiction:
                    continue
                head = Seq((Lit('"'), Term(found, quoted=True, apart=True), Lit(":")))
                yield _Property(head, value)

    def _open(self, facts: Facts, names: Sequence[str]) -> bool:
        """Whether names that nothing is said of belong there. They may, unless it is said
        otherwise; who lists properties means those."""
        told = [o["additionalProperties"] for o in facts.objects if "additionalProperties" in o]
        listing = any("properties" in o or "patternProperties" in o for o in facts.objects)
        return bool(told) or not listing or facts.fewest > len(names)

    def _all(self, parts: Sequence[Schema]) -> Node:
        kept = [part for part in parts if part is not True and part != {}]
        if not kept:
            return self._to.node(True)
        return self._to.node(kept[0] if len(kept) == 1 else {"allOf": kept})

    def array(self, facts: Facts) -> Node:
        """Items by their places. What takes too many rules is named in ``later``.

        Raises `Contradiction` when no array is valid, `GrammarTooLarge` for too many places.
        """
        if facts.unique and (facts.most_items is None or facts.most_items > 1):
            if found := self._distinct(facts):
                return found
            self._to.later.add("uniqueItems")
        least, most = facts.least_items, facts.most_items
        if least > MOST_PLACES:
            self._to.later.add("minItems")
            least = 0
        if most is not None and most > MOST_PLACES:
            self._to.later.add("maxItems")
            most = None
        placed = max([0, *(len(placed_items(one)[0]) for one in facts.arrays)])
        cap = max(placed, least, most or 0, 1)
        if cap > MOST_PLACES:
            raise GrammarTooLarge
        rest: Node | None = Ref(self._to.name())  # behind the last place it is that place again
        for count in range(cap, -1, -1):
            rest = self._place(facts, count, rest, (least, most, cap))
        if rest is None:
            raise Contradiction
        return Seq((Lit("["), rest))

    def _place(
        self, facts: Facts, count: int, after: Node | None, limits: tuple[int, int | None, int]
    ) -> Node | None:
        """What may follow when so many items are there; None when nothing may."""
        least, most, cap = limits
        ways: list[Node] = []
        if after is not None and (most is None or count < most):
            try:
                item = self._all(item_schemas(facts.arrays, count))
            except Contradiction:
                item = None
            if item is not None:
                begin = (Lit(","),) if count else ()
                ways.append(Seq((*begin, self._space, item, after)))
        if count >= least:
            ways.append(Seq((self._space, Lit("]"))))
        if not ways:
            return None
        name = after.name if count == cap and isinstance(after, Ref) else self._to.name()
        self._to.rules[name] = Alt(tuple(ways))
        return Ref(name)

    def _distinct(self, facts: Facts) -> Node | None:
        """Few possible items, each at most once: a rule for each set of those already there."""
        texts = self._possible(facts)
        if not texts or len(texts) > MOST_DISTINCT:
            return None
        most = len(texts) if facts.most_items is None else facts.most_items
        rules: dict[int, Node] = {}
        for used in range(2 ** len(texts) - 1, -1, -1):
            count = used.bit_count()
            begin = (Lit(","),) if count else ()
            ways: list[Node] = [
                Seq((*begin, self._space, Lit(text), rules[used | 1 << at]))
                for at, text in enumerate(texts)
                if count < most and not used & 1 << at and used | 1 << at in rules
            ]
            if count >= facts.least_items:
                ways.append(Seq((self._space, Lit("]"))))
            if ways:
                name = self._to.name()
                self._to.rules[name] = Alt(tuple(ways))
                rules[used] = Ref(name)
        if 0 not in rules:
            raise Contradiction
        return Seq((Lit("["), rules[0]))

    def _possible(self, facts: Facts) -> list[str]:
        """The texts of all values an item may have; none where there are many."""
        if any(placed_items(one)[0] for one in facts.arrays):
            return []
        wanted, choices = self._to.facts({"allOf": item_schemas(facts.arrays, None)})
        if choices or wanted.later:
            return []
        if wanted.enum is not None:
            found = self._to.values.allowed(wanted)
        elif wanted.types is not None and wanted.types <= {"boolean", "null"}:
            found = [v for kind, v in (("boolean", True), ("boolean", False), ("null", None))
                     if kind in wanted.types]  # fmt: skip
        elif wanted.types == {"integer"} and wanted.low is not None and wanted.high is not None:
            span = range(int(wanted.low) - 1, min(int(wanted.high), int(wanted.low) + 20) + 2)
            found = self._to.values.within(wanted, list(span))
        else:
            return []
        return [json.dumps(value, ensure_ascii=False) for value in found]


def _extra_schemas(facts: Facts, matched: Sequence[str]) -> list[Schema]:
    parts: list[Schema] = []
    for one in facts.objects:
        own: dict[str, Any] = one.get("patternProperties", {})
        hit = [own[text] for text in matched if text in own]
        parts += hit or [one.get("additionalProperties", True)]
    return parts


@cache
def _space() -> Automaton:
    """Nothing, one space, or a new line and its indentation: what models are used to write."""
    return words(["", " ", *("\n" + " " * depth for depth in range(INDENT + 1))], Work())


@cache
def _gap() -> Automaton:
    return words(["", " "], Work())
