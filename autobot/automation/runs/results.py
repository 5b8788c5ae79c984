"""What has become of a step: of one attempt after another, or of all items of a loop together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue

from autobot.automation.document import Step
from autobot.automation.runs.state import OVER, PlaceState, RunState


@dataclass(frozen=True, slots=True)
class Result:
    """A step that is over. ``value`` is what ``steps.ID`` means to expressions: the output, the
    list of a loop's outputs, or ``{"error": ...}``."""

    status: Literal["succeeded", "failed", "skipped"]
    value: Any = None
    error: Mapping[str, JsonValue] | None = None
    reason: str = ""
    seq: int = 0
    """The number of the entry that made it so."""


def result_of(state: RunState, step: Step, flying: bool) -> Result | None:
    """Return what became of ``step``; None while it is not over.

    ``flying``: an attempt of it is under way. A loop of which an item failed begins no others, and
    is over when those under way are, unless it says ``on_error: continue``. The list of its results
    has null for an item that its own ``if`` left out.
    """
    if step.id not in state.items:
        place = state.places.get((step.id, None))
        return _result(place) if place and place.status in OVER else None
    places = state.of(step.id)
    failed = [place for place in places.values() if place.status == "failed"]
    if failed and step.on_error != "continue":
        return None if flying else _result(min(failed, key=lambda place: place.seq))
    over = [place for place in places.values() if place.status in OVER]
    if len(over) < len(state.items[step.id]):
        return None
    return Result("succeeded", [_result(place).value for place in over])


def _result(place: PlaceState) -> Result:
    match place.status:
        case "failed":
            value = {"error": dict(place.error or {})}
            return Result("failed", value, place.error, seq=place.seq)
        case "skipped":
            return Result("skipped", reason=place.reason)
        case _:
            return Result("succeeded", place.output)
