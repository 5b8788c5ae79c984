"""What a document must keep beyond its shape. Every check reports all that it finds."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from autobot.automation.document import Automation, Step
from autobot.automation.errors import InvalidAutomation, InvalidExpression, Mistake
from autobot.automation.expressions import OPEN, Reference, parse, references, texts
from autobot.automation.graph import ancestors, edges, error_branch, handlers
from autobot.automation.inputs import value_mistake
from autobot.automation.names import SECRET_NAME
from autobot.automation.reading import Source, load
from autobot.automation.schedule import cron_mistake, zone_mistake
from autobot.errors import Invalid

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str]]
IN_TRIGGERS = frozenset({"trigger", "run"})
CALL = "call"
"""The tool that runs another automation, which ``with.automation`` names."""


@dataclass(frozen=True)
class World:
    """What a document may refer to: tools, secrets by name, and what other automations call.

    None is unknown, and not checked.
    """

    tools: Collection[str] | None = None
    secrets: Collection[str] | None = None
    calls: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])


def check(text: str, world: World | None = None) -> Source:
    """Read a document and check it whole. Raises `InvalidAutomation` with every mistake."""
    source = load(text)
    mistakes = validate(source, world or World())
    if mistakes:
        raise InvalidAutomation(None, tuple(mistakes))
    return source


def validate(source: Source, world: World) -> list[Mistake]:
    """Return all mistakes beyond the document's shape, in the order of the text."""
    automation = source.automation
    found = [
        *_triggers(automation),
        *_inputs(automation),
        *_steps(automation, world),
        *_graph(automation),
        *_expressions(automation, world),
        *_calls(automation, world),
    ]
    return source.placed(found)


def _triggers(automation: Automation) -> Found:
    for position, schedule in enumerate(automation.triggers.schedule):
        where: Path = ("on", "schedule", position)
        if mistake := cron_mistake(schedule.cron):
            yield (*where, "cron"), mistake
        if mistake := zone_mistake(schedule.timezone):
            yield (*where, "timezone"), mistake
    needed = {name for name, one in automation.inputs.items() if one.required}
    for name, trigger in automation.triggers.named().items():
        kind, _, number = name.partition("-")
        several = kind in ("schedule", "file", "event")
        where = ("on", kind, *((int(number or 1) - 1,) if several else ()))
        for given in trigger.inputs.keys() - automation.inputs.keys():
            yield (*where, "inputs", given), _no_such("input", given, automation.inputs)
        if kind in ("schedule", "file", "event", "webhook"):
            for missing in sorted(needed - trigger.inputs.keys()):
                yield where, f"input {missing!r} has no default, and this trigger gives it none"


def _inputs(automation: Automation) -> Found:
    for name, one in automation.inputs.items():
        try:
            if not one.required and (mistake := value_mistake(one, one.default)):
                yield ("inputs", name, "default"), mistake
            elif one.required:
                value_mistake(one, None)
        except Invalid as error:
            yield ("inputs", name), error.detail
        if one.enum is not None and any(OPEN in text for text in texts(list(one.enum))):
            yield ("inputs", name, "enum"), "an input has no expressions"
        if any(True for _ in texts(one.default)):
            yield ("inputs", name, "default"), "an input has no expressions"


def _steps(automation: Automation, world: World) -> Found:
    seen: set[str] = set()
    for position, step in enumerate(automation.steps):
        where: Path = ("steps", position)
        if step.id in seen:
            yield (*where, "id"), f"another step is called {step.id!r}"
        seen.add(step.id)
        if world.tools is not None and step.use not in world.tools:
            yield (*where, "use"), _no_such("tool", step.use, world.tools)
        if step.for_each and isinstance(step.for_each.items, list):
            count, most = len(step.for_each.items), automation.limits.items
            if count > most:
                yield (*where, "for_each"), f"{count} items; the limit is {most}"
        if step.retry.wait > step.retry.longest_wait:
            yield (*where, "retry", "wait"), "it is longer than longest_wait"
        if step.timeout > automation.limits.waiting:
            yield (*where, "timeout"), "it is longer than limits.waiting"


def _graph(automation: Automation) -> Found:
    ids = [step.id for step in automation.steps]
    if automation.on_error is not None and automation.on_error not in ids:
        yield ("on_error",), _no_such("step", automation.on_error, ids)
    handled = {step.handler for step in automation.steps}
    if automation.on_error in handled and automation.on_error is not None:
        yield ("on_error",), "this step handles another's errors already"
    for position, step in enumerate(automation.steps):
        where: Path = ("steps", position)
        for number, need in enumerate(step.needs or ()):
            if need not in ids:
                yield (*where, "needs", number), _no_such("step", need, ids)
        if step.handler is not None and step.handler not in ids:
            yield (*where, "on_error"), _no_such("step", step.handler, ids)
        elif step.handler is not None and step.id in error_branch(automation):
            yield (*where, "on_error"), "a step that handles an error has no handler of its own"
    for cycle in _cycles(edges(automation)):
        position = max(ids.index(name) for name in cycle if name in ids)
        yield ("steps", position), "steps wait for each other: " + " -> ".join(cycle)
    if len(handlers(automation)) >= len(set(ids)):
        yield ("steps",), "every step only handles errors; none starts the run"


def _cycles(graph: Mapping[str, Collection[str]]) -> Iterator[list[str]]:
    """One circle, or none; the others are told when it is gone."""
    try:
        TopologicalSorter({name: sorted(needs) for name, needs in graph.items()}).prepare()
    except CycleError as error:
        yield list(error.args[1])


def _expressions(automation: Automation, world: World) -> Found:
    for path, value, step in _places(automation):
        for place, text in _each_text(value, path):
            try:
                template = parse(text)
            except InvalidExpression as error:
                yield place, f"{error.reason} (column {error.column} of the expression)"
                continue
            if path[-1] in ("if", "for_each") and template.only is None:
                yield place, "this must be one expression and nothing else, as in ${{ inputs.a }}"
            for reference in sorted(references(text), key=str):
                if mistake := _reference(automation, step, reference, world, path):
                    yield place, mistake


def _places(automation: Automation) -> Iterator[tuple[Path, object, Step | None]]:
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


def _each_text(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str) and (OPEN in value or path[-1] in ("if", "for_each")):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _each_text(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _each_text(item, (*path, number))


def _reference(
    automation: Automation, step: Step | None, reference: Reference, world: World, path: Path
) -> str | None:
    """Say why an expression of ``step``, or of a trigger, may not read this."""
    root, name = reference.root, (reference.path or ("",))[0]
    if step is None:
        return None if root in IN_TRIGGERS else f"a trigger's expression cannot read {root}"
    if root == "inputs" and name and name not in automation.inputs:
        return _no_such("input", name, automation.inputs)
    if root == "secrets":
        if not SECRET_NAME.fullmatch(name):
            return "a secret's name has capital letters, digits and underlines"
        if path[-1] in ("if", "for_each"):
            return "a secret may only stand under 'with'"
        if world.secrets is not None and name not in world.secrets:
            return _no_such("secret", name, world.secrets)
    if root in ("item", "index") and (step.for_each is None or path[-1] == "for_each"):
        return f"{root} is only there in a step with for_each"
    if root == "error" and not _after_failure(automation, step):
        return "error is only there when a run has failed; a step's own is steps.ID.error"
    return _step_reference(automation, step, name) if root == "steps" else None


def _after_failure(automation: Automation, step: Step) -> bool:
    """Whether it is the automation's handler, or comes after it."""
    return automation.on_error in {step.id, *ancestors(automation).get(step.id, ())}


def _step_reference(automation: Automation, step: Step, name: str) -> str | None:
    ids = [other.id for other in automation.steps]
    if name not in ids:
        return _no_such("step", name, ids)
    if name == step.id:
        return f"step {name!r} cannot read its own result"
    # The automation's handler starts when anything may be over: it asks with has().
    if name in ancestors(automation).get(step.id, ()) or _after_failure(automation, step):
        return None
    return f"step {name!r} need not be over when this one starts: name it under 'needs'"


def _calls(automation: Automation, world: World) -> Found:
    """An automation that calls itself, by way of others too."""
    for position, step in enumerate(automation.steps):
        if step.use != CALL:
            continue
        where: Path = ("steps", position, "with", "automation")
        name = step.arguments.get("automation")
        if not isinstance(name, str) or OPEN in name:
            yield where, "the name of an automation, not an expression"
        elif way := _way(name, automation.name, world.calls):
            yield where, "automations call each other: " + " -> ".join((automation.name, *way))


def _way(start: str, goal: str, calls: Mapping[str, Collection[str]]) -> list[str]:
    """The names from ``start`` to ``goal``, a call each; empty where none leads there."""
    ways, seen = [[start]], {start}
    for way in ways:  # it grows while it is read
        if way[-1] == goal:
            return way
        new = [name for name in sorted(calls.get(way[-1], ())) if name not in seen]
        seen.update(new)
        ways += [[*way, name] for name in new]
    return []


def called(automation: Automation) -> frozenset[str]:
    """Return the names of the automations that this one calls."""
    names = (step.arguments.get("automation") for step in automation.steps if step.use == CALL)
    return frozenset(name for name in names if isinstance(name, str))


def _no_such(what: str, name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, list(known), 1, 0.5)
    return f"there is no {what} {name[:60]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
