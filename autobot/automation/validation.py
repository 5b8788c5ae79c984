"""What a document must keep beyond its shape. Every check reports all that it finds."""

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import chain, islice

from autobot.automation.document import Automation
from autobot.automation.durations import seconds
from autobot.automation.errors import MOST_MISTAKES, InvalidAutomation, Mistake
from autobot.automation.expressions import OPEN, texts
from autobot.automation.graph import edges, error_branch, handlers
from autobot.automation.inputs import value_mistake
from autobot.automation.reading import Source, load
from autobot.automation.runs.waits import CALL
from autobot.automation.schedule import cron_mistake, zone_mistake
from autobot.automation.scopes import Scopes
from autobot.automation.world import Found, NoSuch, Path, World, worded
from autobot.errors import Invalid
from autobot.schemas.json_schema import Budget

LENGTHS = {"wait": "seconds", "approve": "timeout"}
"""What is a length of time among the arguments of tools that wait."""


def check(text: str, world: World | None = None) -> Source:
    """Read a document and check it whole. Raises `InvalidAutomation` with every mistake."""
    source = load(text)
    mistakes = validate(source, world or World())
    if mistakes:
        raise InvalidAutomation(None, tuple(mistakes))
    return source


def validate(source: Source, world: World) -> list[Mistake]:
    """Return the mistakes beyond the document's shape, in the order of the text: the first
    `MOST_MISTAKES` that are found."""
    automation = source.automation
    found = chain(
        _triggers(automation),
        _inputs(automation),
        _steps(automation, world),
        _graph(automation),
        Scopes(automation, world).mistakes(),
        _calls(automation, world),
    )
    return source.placed(worded(islice(found, MOST_MISTAKES)))


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
            yield (*where, "inputs", given), NoSuch("input", given, automation.inputs)
        if kind in ("schedule", "file", "event", "webhook"):
            for missing in sorted(needed - trigger.inputs.keys()):
                yield where, f"input {missing!r} has no default, and this trigger gives it none"


def _inputs(automation: Automation) -> Found:
    budget = Budget()  # of all inputs together
    for name, one in automation.inputs.items():
        try:
            if not one.required and (mistake := value_mistake(one, one.default, budget)):
                yield ("inputs", name, "default"), mistake
            elif one.required:
                value_mistake(one, None, budget)
        except Invalid as error:
            yield ("inputs", name), error.detail
            if budget.patterns_s < 0:
                return
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
        if world.tools is not None and step.use not in {CALL, *world.tools}:
            yield (*where, "use"), NoSuch("tool", step.use, world.tools)
        if step.for_each and isinstance(step.for_each.items, list):
            count, most = len(step.for_each.items), automation.limits.items
            if count > most:
                yield (*where, "for_each"), f"{count} items; the limit is {most}"
        if step.retry.wait > step.retry.longest_wait:
            yield (*where, "retry", "wait"), "it is longer than longest_wait"
        if step.timeout > automation.limits.waiting:
            yield (*where, "timeout"), "it is longer than limits.waiting"
        name = LENGTHS.get(step.use)
        if name and not _is_length(step.arguments.get(name, 0)):
            yield (*where, "with", name), "a number of seconds, or written as 90s, 2h or 1h30m"


def _is_length(value: object) -> bool:
    """Whether it is a length of time, or an expression that may be one."""
    if isinstance(value, str) and OPEN in value:
        return True
    try:
        length = seconds(value)
    except ValueError:
        return False
    return length is None or (type(length) in (int, float) and length >= 0)


def _graph(automation: Automation) -> Found:
    ids = {step.id: position for position, step in enumerate(automation.steps)}
    branch = error_branch(automation)
    if automation.on_error is not None and automation.on_error not in ids:
        yield ("on_error",), NoSuch("step", automation.on_error, ids)
    handled = {step.handler for step in automation.steps}
    if automation.on_error in handled and automation.on_error is not None:
        yield ("on_error",), "this step handles another's errors already"
    for position, step in enumerate(automation.steps):
        where: Path = ("steps", position)
        for number, need in enumerate(step.needs or ()):
            if need not in ids:
                yield (*where, "needs", number), NoSuch("step", need, ids)
        if step.handler is not None and step.handler not in ids:
            yield (*where, "on_error"), NoSuch("step", step.handler, ids)
        elif step.handler is not None and step.id in branch:
            yield (*where, "on_error"), "a step that handles an error has no handler of its own"
    for cycle in _cycles(edges(automation)):
        position = max(ids[name] for name in cycle if name in ids)
        yield ("steps", position), "steps wait for each other: " + " -> ".join(cycle)
    if len(handlers(automation)) >= len(ids):
        yield ("steps",), "every step only handles errors; none starts the run"


def _cycles(graph: Mapping[str, Collection[str]]) -> Iterator[list[str]]:
    """One circle, or none; the others are told when it is gone."""
    try:
        TopologicalSorter({name: sorted(needs) for name, needs in graph.items()}).prepare()
    except CycleError as error:
        yield list(error.args[1])


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
