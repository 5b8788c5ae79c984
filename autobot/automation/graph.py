"""Which step waits for which, and which run only after an error."""

from graphlib import CycleError, TopologicalSorter

from autobot.automation.document import Automation


def handlers(automation: Automation) -> frozenset[str]:
    """Return the ids that an ``on_error`` names."""
    named = {step.handler for step in automation.steps} | {automation.on_error}
    return frozenset(name for name in named if name is not None)


def error_branch(automation: Automation) -> frozenset[str]:
    """Return the ids of handlers and of all steps whose ``needs`` lead to one: none of them is
    asked for in a run without errors."""
    after: dict[str, list[str]] = {}
    for step in automation.steps:
        for need in step.needs or ():
            after.setdefault(need, []).append(step.id)
    branch = set(handlers(automation))
    new = list(branch)
    while new:
        more = [name for name in after.get(new.pop(), ()) if name not in branch]
        branch.update(more)
        new += more
    return frozenset(branch)


def edges(automation: Automation) -> dict[str, frozenset[str]]:
    """Return for each step the ids that must be over before it starts.

    Without ``needs`` a step needs the one before it in the document, error branches passed over. A
    handler needs the steps that it handles, and none before it. The automation's own handler
    needs nothing: it starts when the run has failed.
    """
    branch, handling = error_branch(automation), handlers(automation)
    needed: dict[str, frozenset[str]] = {}
    before: tuple[str, ...] = ()
    for step in automation.steps:
        needs = set(before if step.needs is None and step.id not in branch else step.needs or ())
        if step.id in handling:
            needs |= {other.id for other in automation.steps if other.handler == step.id}
        needed[step.id] = frozenset(needs)
        before = before if step.id in branch else (step.id,)
    return needed


def ancestors(automation: Automation) -> dict[str, frozenset[str]] | None:
    """Return for each step all ids that are over before it starts, by way of others too; None
    where steps wait for each other in a circle."""
    needed = edges(automation)
    before: dict[str, frozenset[str]] = {}
    try:
        for name in TopologicalSorter(needed).static_order():
            needs = needed.get(name, frozenset())
            before[name] = needs.union(*(before[need] for need in needs))
    except CycleError:
        return None
    return before
