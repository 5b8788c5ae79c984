"""Steps that wait: for an instant or for a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from autobot.automation.durations import seconds
from autobot.automation.runs.journal import (
    Answered,
    Failed,
    JournalEntry,
    Place,
    Succeeded,
    Waiting,
    dumps,
)
from autobot.automation.runs.state import PlaceState
from autobot.contracts.runs import LONGEST_INLINE
from autobot.errors import Invalid, TooLarge

WAITS = frozenset({"wait", "approve"})
"""The tools that the interpreter knows itself."""
CALL = "call"
"""The tool that starts a run of another automation and waits for its end."""


def wait_for(use: str, place: Place, arguments: JsonValue, now: int, longest: int) -> Waiting:
    """Return the entry with which a waiting step begins; raises `Invalid` and `TooLarge`.

    ``wait`` takes ``seconds`` or ``until`` (ISO 8601 with its zone), ``approve`` a ``message`` and
    a ``timeout``. ``longest`` is in seconds.
    """
    if not isinstance(arguments, Mapping):
        raise Invalid(f"{use} takes an object.")
    detail = dict(arguments)
    latest = now + longest * 1000
    if use == "wait":
        until = _instant(detail, now)
        if until > latest:
            raise Invalid(f"A wait ends at most {longest} seconds from now.")
        return Waiting(*place, on="time", until=until)
    if len(dumps(detail)) > LONGEST_INLINE:
        raise TooLarge(f"What a person is asked has at most {LONGEST_INLINE} bytes.")
    timeout = detail.get("timeout")
    until = latest if timeout is None else min(latest, now + _length(timeout))
    return Waiting(*place, on="approval", until=until, detail=detail)


def _instant(detail: Mapping[str, Any], now: int) -> int:
    if "until" not in detail:
        return now + _length(detail.get("seconds"))
    try:
        until = datetime.fromisoformat(str(detail["until"]))
    except ValueError as error:
        raise Invalid(f"{detail['until']!r} is no instant of ISO 8601.") from error
    if until.tzinfo is None:
        raise Invalid(f"{detail['until']!r} has no time zone.")
    return int(until.timestamp() * 1000)


def _length(value: Any) -> int:
    """In milliseconds."""
    try:
        length = seconds(value)
    except ValueError as error:
        raise Invalid(str(error)) from error
    if isinstance(length, bool) or not isinstance(length, int | float) or length < 0:
        raise Invalid(f"{value!r} is no length of time.")
    return round(length * 1000)


def outcome(place: Place, state: PlaceState, now: int) -> JournalEntry | None:
    """Return how a wait has ended; None while it lasts, and for an attempt to be made again.

    An answer that is in the journal counts, even if the wait's end has come meanwhile.
    """
    waiting, answer = state.waiting, state.answer
    assert waiting is not None
    over = waiting.until is not None and now >= waiting.until
    if answer is not None:
        return _answered(place, answer)
    if not over:
        return None
    match waiting.on:
        case "time":
            return Succeeded(*place, output={})
        case "approval":
            return Succeeded(*place, output={"approved": False, "by": None})
        case "run":
            detail = "The run that it started has not ended in time."
            return Failed(*place, error={"type": "timeout", "detail": detail})
        case _:
            return Failed(*place, error={"type": "timeout", "detail": "Nobody answered in time."})


def _answered(place: Place, answer: Answered) -> JournalEntry | None:
    match answer.answer:
        case "approve" | "reject":
            approved = answer.answer == "approve"
            return Succeeded(*place, output={"approved": approved, "by": answer.by})
        case "done":
            return Succeeded(*place)
        case "ended" if answer.error is not None:
            return Failed(*place, error=answer.error)
        case "ended":
            return Succeeded(*place, output=answer.output)
        case "fail":
            return Failed(*place, error={"type": "unknown", "detail": f"So said {answer.by}."})
        case _:
            return None
