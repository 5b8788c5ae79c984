"""A JSON schema as a grammar, and the keywords that the grammar does not hold."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autobot.errors import Invalid
from deployments.llm.grammar import values
from deployments.llm.grammar.automaton import GrammarTooLarge, Work
from deployments.llm.grammar.containers import Containers
from deployments.llm.grammar.factor import Factored, TooAmbiguous
from deployments.llm.grammar.facts import (
    AFTERWARDS,
    HINTS,
    Contradiction,
    Facts,
    Schema,
    add,
    same,
)
from deployments.llm.grammar.nodes import Alt, Node, Ref, Rules, text_of

CHOICES = ("anyOf", "oneOf")
CONSTRAINTS = {
    "type", "enum", "const", "if", "then", "else", *AFTERWARDS,
    *(keyword for keywords in HINTS.values() for keyword in keywords),
}  # fmt: skip
MOST_RULES = 6000
PART = 30
"""What merging one part of a schema costs, in arrows."""
LEVELS = ("all", "shapes", "no choices", "nothing")
"""What is tried in turn until it is a grammar an engine can be given."""

Target = Callable[[str], Any]
"""The schema that a reference leads to."""


@dataclass(frozen=True)
class Grammar:
    """``text`` is GBNF. What is valid under the schema's other keywords may still break those in
    ``later``: where there are any, the answer is validated before anybody sees it."""

    text: str
    later: frozenset[str]

    @property
    def complete(self) -> bool:
        """Whether all that can be decoded under it is valid, so that it may be sent as it comes."""
        return not self.later


def compiled(schema: Schema, target: Target, where: str) -> Grammar:
    """Raises `Invalid` when no value at all is valid under ``schema``."""
    for level in LEVELS:
        compiler = Compiler(target, level)
        try:
            root = compiler.node(schema)
            rules = {**compiler.rules, "": root}
            factored = Factored(rules, "")
        except (GrammarTooLarge, TooAmbiguous, RecursionError):
            continue
        except Contradiction as error:
            raise Invalid(f"{where}: no value is valid under this schema.") from error
        return Grammar(text_of(factored.rules, factored.root), frozenset(compiler.later))
    raise Invalid(f"{where}: no grammar can be made of this schema.")


def is_plain(schema: Schema, target: Target) -> bool:
    """Whether a grammar of it that nobody has factored has few ways to read a text, too."""
    compiler = Compiler(target, LEVELS[0])
    try:
        root = compiler.node(schema)
        Factored({**compiler.rules, "": root}, "", only_counted=True)
    except (GrammarTooLarge, TooAmbiguous, RecursionError, Contradiction):
        return False
    return True


class Compiler:
    """Makes rules. The same schema, wherever it stands, is one rule."""

    def __init__(self, target: Target, level: str) -> None:
        self.rules: Rules = {}
        self.later: set[str] = set()
        self.work = Work()
        self._target = target
        self._level = LEVELS.index(level)
        self._names: dict[str, str | None] = {}
        self._containers = Containers(self)
        self.values = values.Values(self.later, self.work, exact=self._level == 0)

    def node(self, schema: Any) -> Node:
        """Raises `Contradiction` when nothing is valid."""
        if schema is False:
            raise Contradiction
        if self._level == len(LEVELS) - 1:
            self.later.add("everything")
            schema = True
        schema = {} if schema is True else schema
        if isinstance(schema.get("$ref"), str) and not _constrains(schema, but="$ref"):
            return self.node(self._target(schema["$ref"]))
        key = json.dumps(schema)
        self.work.spend(len(key) // values.LETTERS)
        if key in self._names:
            name = self._names[key]
            if name is None:
                raise Contradiction
            return Ref(name)
        name = self.name()
        self._names[key] = name
        try:
            self.rules[name] = self._made(schema)
        except Contradiction:
            self._names[key] = None
            raise
        return Ref(name)

    def name(self) -> str:
        if len(self.rules) > MOST_RULES:
            raise GrammarTooLarge
        name = f"n{len(self.rules)}"
        self.rules[name] = Alt(())
        return name

    def facts(self, schema: Any) -> tuple[Facts, list[tuple[str, list[Any]]]]:
        """What is asked of a value, and the lists of which one has to be valid as well."""
        facts = Facts()
        choices: list[tuple[str, list[Any]]] = []
        self._gather(schema, facts, choices, 0)
        return facts, choices

    def _gather(
        self, schema: Any, facts: Facts, choices: list[tuple[str, list[Any]]], depth: int
    ) -> None:
        if schema is False:
            raise Contradiction
        if not isinstance(schema, Mapping):
            return
        if depth > 100:
            raise GrammarTooLarge
        self.work.spend(len(schema) + PART)
        if isinstance(schema.get("$ref"), str):
            self._gather(self._target(schema["$ref"]), facts, choices, depth + 1)
        for part in schema.get("allOf", ()):
            self._gather(part, facts, choices, depth + 1)
        choices += [(keyword, schema[keyword]) for keyword in CHOICES if keyword in schema]
        add(facts, schema)

    def _made(self, schema: Any) -> Node:
        facts, choices = self.facts(schema)
        self.later |= facts.later
        if choices and self._level < 2:
            return self._chosen(facts, choices)
        self.later |= {keyword for keyword, _ in choices}
        if choices:
            facts = Facts()
        return self._of(facts)

    def _chosen(self, facts: Facts, choices: list[tuple[str, list[Any]]]) -> Node:
        (keyword, options), *others = choices
        base = [_own(one) for one in facts.conjuncts]
        base = [one for one in base if one] + [{"anyOf": other} for _, other in others]
        self.later |= {word for word, _ in others if word == "oneOf"}
        if keyword == "oneOf" and not self._exclusive(options):
            self.later.add("oneOf")
        found: dict[Node, None] = {}
        for option in options:
            if option is False:
                continue
            wanted = {"allOf": [*base, option]} if base else option
            try:
                found[self.node(wanted)] = None
            except Contradiction:
                continue
        if not found:
            raise Contradiction
        return Alt(tuple(found))

    def _of(self, facts: Facts) -> Node:
        if facts.enum is not None:
            return self.values.one_of(facts)
        makers: dict[str, Callable[[Facts], Node]] = {
            "object": self._containers.object,
            "array": self._containers.array,
        }
        options: list[Node] = []
        for kind in sorted(facts.kinds()):
            try:
                options.append(makers.get(kind, getattr(self.values, kind, None))(facts))  # pyright: ignore
            except Contradiction:
                continue
        if not options:
            raise Contradiction
        return Alt(tuple(options)) if len(options) > 1 else options[0]

    def _exclusive(self, options: Sequence[Any]) -> bool:
        try:
            known = [self.facts(option) for option in options]
        except Contradiction:
            return False
        if len(options) > 32 or any(choices for _, choices in known):
            return False
        return all(
            self._apart(one, other)
            for at, (one, _) in enumerate(known)
            for other, _ in known[at + 1 :]
        )

    def _apart(self, one: Facts, other: Facts) -> bool:
        if one.enum is not None and other.enum is not None:
            return not {*map(same, one.enum)} & {*map(same, other.enum)}
        if one.types is None or other.types is None:
            return False
        if not one.types & other.types:
            return True
        if one.types != {"object"} or other.types != {"object"}:
            return False
        shared = {*one.required} & {*other.required}
        self.work.spend(len(shared) * PART)
        return any(self._told_apart(one, other, name) for name in shared)

    def _told_apart(self, one: Facts, other: Facts, name: str) -> bool:
        enums: list[set[str]] = []
        for facts in (one, other):
            part = next((o["properties"][name] for o in facts.objects
                         if name in o.get("properties", {})), None)  # fmt: skip
            if not isinstance(part, Mapping):
                return False
            found, choices = self.facts(part)
            if choices or found.enum is None:
                return False
            enums.append({*map(same, found.enum)})
        return not enums[0] & enums[1]


def _constrains(schema: Mapping[str, Any], but: str) -> bool:
    return any(k != but and (k in CONSTRAINTS or k in (*CHOICES, "allOf")) for k in schema)


def _own(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key in CONSTRAINTS}
