"""Another try: of a step after an error, and of a run from one of its steps on."""

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from autobot.automation.document import Automation, Step
from autobot.automation.graph import edges
from autobot.automation.runs.handling import in_order, last_branch
from autobot.automation.runs.journal import Expanded, JournalEntry, Skipped, Succeeded
from autobot.automation.runs.results import result_of
from autobot.automation.runs.state import RunState
from autobot.automation.secrets.mask import NOTHING, Mask
from autobot.errors import AutoBotError, Invalid

FINAL = frozenset(range(400, 500)) - {408, 425, 429}
"""Statuses that another attempt would meet again, unless the error says when to come back."""
LONGEST_DETAIL = 4_000
"""Letters of an error's description: the journal keeps it, and every later step may read it."""


def retry_at(
    step: Step,
    failures: int,
    error: AutoBotError,
    now: int,
    longest: int,
    random: Callable[[], float],
) -> int | None:
    """Return when to try again after so many failures; None when the error is final.

    The wait doubles, is jittered to between half and one and a half, and is never shorter than
    what the error's ``retry_after`` asks for; one that asks for more than ``longest`` seconds is
    final. ``random`` gives a number from 0 to 1.
    """
    final = error.status in FINAL and error.retry_after is None
    if final or failures >= step.retry.attempts or (error.retry_after or 0) > longest:
        return None
    wait = min(step.retry.longest_wait, step.retry.wait * 2 ** (failures - 1))
    wait = max(wait * (0.5 + random()), error.retry_after or 0)
    return now + round(wait * 1000)


def kept_before(
    automation: Automation, state: RunState, step: str, entries: Sequence[JournalEntry]
) -> list[JournalEntry]:
    """Return the entries that a new run takes over from one that ended, to go on from ``step``.

    What does not depend on ``step`` and succeeded, or was skipped, is not done again; but the
    automation's handler is, should the new run fail too. Large results are named, not copied: see
    `NewRun.blobs_of`.
    Raises `Invalid` for a step that is not there or a run that goes on.
    """
    if state.ended is None:
        raise Invalid("The run has not ended.")
    if step not in automation.by_id:
        raise Invalid(f"There is no step {step!r}.")
    needs, again = edges(automation), {step, *last_branch(automation)}
    for name in in_order(automation):
        if needs[name] & again:
            again.add(name)
    over = [s for s in automation.steps if s.id not in again]
    done = {s.id for s in over if (r := result_of(state, s, False)) and r.status != "failed"}
    return [
        entry
        for entry in entries
        if isinstance(entry, Expanded | Skipped | Succeeded) and entry.step in done
    ]


def described(error: AutoBotError, mask: Mask = NOTHING) -> dict[str, JsonValue]:
    """Return an error as the journal keeps it. It is masked before it is cut: a part of a secret
    would not be found."""
    detail = mask.text(error.detail)
    if len(detail) > LONGEST_DETAIL:
        detail = f"{detail[:LONGEST_DETAIL]} [and {len(detail) - LONGEST_DETAIL} letters more]"
    return {"type": error.type[:100], "detail": detail}


def as_failure(error: Exception) -> AutoBotError:
    """Return any exception as an error of this platform."""
    if isinstance(error, AutoBotError):
        return error
    return AutoBotError(f"{type(error).__name__}: {error}")
