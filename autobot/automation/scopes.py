"""Which names an expression may read, by where it stands in its document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from autobot.automation.cel.errors import CelError
from autobot.automation.cel.patterns import Reading, compiled
from autobot.automation.document import Automation, Step
from autobot.automation.errors import InvalidExpression
from autobot.automation.expressions import OPEN, Reference, parse
from autobot.automation.graph import ancestors
from autobot.automation.world import Found, NoSuch, Path, World
from autobot.contracts.secrets import NAME as SECRET_NAME

MOST_EXPRESSIONS = 2_000
"""Of one document."""
IN_TRIGGERS = frozenset({"trigger", "run"})
WHOLE = ("if", "for_each")
"""Keys whose text is one expression and nothing else."""
WITHOUT_SECRETS = frozenset({"wait", "approve", "call"})
"""Tools whose arguments stand in a journal: a person, or another run, is told them."""


@dataclass(frozen=True)
class Scopes:
    """The expressions of one document."""

    automation: Automation
    world: World

    def mistakes(self) -> Found:
        """Yield every mistake of every expression."""
        count, patterns = 0, dict[str, Path]()
        for path, place, text, step in _texts(self.automation):
            try:
                template = parse(text)
            except InvalidExpression as error:
                column = f" (column {error.column} of the expression)" if error.column else ""
                yield place, error.reason[:300] + column
                continue
            count += len(template.expressions)
            if count > MOST_EXPRESSIONS:
                yield place, f"a document has at most {MOST_EXPRESSIONS} expressions"
                return
            if place[-1] in WHOLE and place == path and template.only is None:
                yield place, "this must be one expression and nothing else, as in ${{ inputs.a }}"
            for expression in template.expressions:
                patterns |= {one: place for one in expression.patterns if one not in patterns}
            read = {one for part in template.expressions for one in part.references}
            for reference in sorted(read, key=str):
                if mistake := self._mistake(step, reference, path):
                    yield place, mistake
        yield from _unreadable(patterns)

    def _mistake(self, step: Step | None, reference: Reference, path: Path) -> str | NoSuch | None:
        """Say why an expression of ``step``, or of a trigger, may not read this."""
        root, name = reference.root, (reference.path or ("",))[0]
        if step is None:
            return None if root in IN_TRIGGERS else f"a trigger's expression cannot read {root}"
        if root == "inputs" and name and name not in self.automation.inputs:
            return NoSuch("input", name, self.automation.inputs)
        if root == "secrets":
            return self._secret(step, name, path)
        if root in ("item", "index") and (step.for_each is None or path[-1] == "for_each"):
            return f"{root} is only there in a step with for_each"
        if root == "error" and not self._after_failure(step):
            return "error is only there when a run has failed; a step's own is steps.ID.error"
        return self._step(step, name) if root == "steps" else None

    def _secret(self, step: Step, name: str, path: Path) -> str | NoSuch | None:
        if not SECRET_NAME.fullmatch(name):
            return "a secret's name has capital letters, digits and underlines"
        if path[-1] in WHOLE:
            return "a secret may only stand under 'with'"
        if step.use in WITHOUT_SECRETS:
            return f"'{step.use}' writes down what it is given: no secret may stand there"
        if self.world.secrets is None or name in self.world.secrets:
            return None
        return NoSuch("secret", name, self.world.secrets)

    def _step(self, step: Step, name: str) -> str | NoSuch | None:
        if name not in self._ids:
            return NoSuch("step", name, self._ids)
        if name == step.id:
            return f"step {name!r} cannot read its own result"
        # The automation's handler starts when anything may be over: it asks with has().
        before = self._before
        if before is None or name in before[step.id] or self._after_failure(step):
            return None
        return f"step {name!r} need not be over when this one starts: name it under 'needs'"

    def _after_failure(self, step: Step) -> bool:
        """Whether it is the automation's handler, or comes after it."""
        before = self._before
        return before is None or self.automation.on_error in {step.id, *before[step.id]}

    @cached_property
    def _ids(self) -> Mapping[str, Step]:
        return self.automation.by_id

    @cached_property
    def _before(self) -> Mapping[str, frozenset[str]] | None:
        return ancestors(self.automation)


def _values(automation: Automation) -> Iterator[tuple[Path, object, Step | None]]:
    """Every value that may hold expressions, with the step that it belongs to."""
    for name, trigger in automation.triggers.named().items():
        kind, _, number = name.partition("-")
        several = kind in ("schedule", "file", "event")
        where: Path = ("on", kind, *((int(number or 1) - 1,) if several else ()))
        yield (*where, "inputs"), trigger.inputs, None
        condition = getattr(trigger, "condition", None)
        if condition is not None:
            yield (*where, "if"), condition, None
    for position, step in enumerate(automation.steps):
        yield ("steps", position, "with"), step.arguments, step
        if isinstance(step.condition, str):
            yield ("steps", position, "if"), step.condition, step
        if step.for_each is not None:
            yield ("steps", position, "for_each"), step.for_each.items, step


def _texts(automation: Automation) -> Iterator[tuple[Path, Path, str, Step | None]]:
    """Every text with expressions: the key of its step or trigger, its place, and the step."""
    for path, value, step in _values(automation):
        if path[-1] in WHOLE and isinstance(value, str):
            yield path, path, value, step
        else:
            for place, text in _within(value, path):
                yield path, place, text, step


def _within(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str) and OPEN in value:
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _within(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _within(item, (*path, number))


def _unreadable(patterns: Mapping[str, Path]) -> Found:
    """Those of ``matches()`` that are none, or take too long to read, all together."""
    reading = Reading()
    for pattern, place in patterns.items():
        try:
            compiled(pattern, reading)
        except CelError as error:
            yield place, f"{error.detail}: {pattern[:60]}"
            if reading.patterns_s < 0:
                return
