"""Another try: of a step after an error, and of a run from one of its steps on."""

from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter

from pydantic import JsonValue

from autobot.automation.document import Automation, Step
from autobot.automation.graph import edges
from autobot.automation.runs.journal import Expanded, JournalEntry, Skipped, Succeeded
from autobot.automation.runs.results import result_of
from autobot.automation.runs.state import RunState
from autobot.errors import AutoBotError, Invalid

FINAL = frozenset(range(400, 500)) - {408, 425, 429}
"""Statuses that another attempt would meet again."""


def retry_at(
    step: Step, failures: int, error: AutoBotError, now: int, random: Callable[[], float]
) -> int | None:
    """Return when to try again after so many failures; None when the error is final.

    The wait doubles, is jittered to between half and one and a half, and is never shorter than
    what the error's ``retry_after`` asks for. ``random`` gives a number from 0 to 1.
    """
    if error.status in FINAL or failures >= step.retry.attempts:
        return None
    wait = min(step.retry.longest_wait, step.retry.wait * 2 ** (failures - 1))
    wait = max(wait * (0.5 + random()), error.retry_after or 0)
    return now + round(wait * 1000)


def kept_before(
    automation: Automation, state: RunState, step: str, entries: Sequence[JournalEntry]
) -> list[JournalEntry]:
    """Return the entries that a new run takes over from one that ended, to go on from ``step``.

    What does not depend on ``step`` and succeeded, or was skipped, is not done again.
    Raises `Invalid` for a step that is not there or a run that goes on.
    """
    if state.ended is None:
        raise Invalid("The run has not ended.")
    if step not in automation.by_id:
        raise Invalid(f"There is no step {step!r}.")
    needs, again = edges(automation), {step}
    for name in TopologicalSorter(needs).static_order():
        if needs[name] & again:
            again.add(name)
    over = [s for s in automation.steps if s.id not in again]
    done = {s.id for s in over if (r := result_of(state, s, False)) and r.status != "failed"}
    return [
        entry
        for entry in entries
        if isinstance(entry, Expanded | Skipped | Succeeded) and entry.step in done
    ]


def described(error: AutoBotError) -> dict[str, JsonValue]:
    """Return an error as the journal keeps it."""
    return {"type": error.type, "detail": error.detail}
