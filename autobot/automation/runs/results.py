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


def result_of(state: RunState, step: Step, flying: bool) -> Result | None:
    """Return what became of ``step``; None while it is not over.

    ``flying``: an attempt of it is under way. A loop of which an item failed begins no others, and
    is over when those under way are, unless it says ``on_error: continue``.
    """
    if step.id not in state.items:
        place = state.places.get((step.id, None))
        return _result(place) if place and place.status in OVER else None
    places = state.of(step.id)
    failed = next((place for place in places.values() if place.status == "failed"), None)
    if failed and step.on_error != "continue":
        return None if flying else _result(failed)
    over = [place for place in places.values() if place.status in OVER]
    if len(over) < len(state.items[step.id]):
        return None
    return Result("succeeded", [_result(place).value for place in over])


def _result(place: PlaceState) -> Result:
    match place.status:
        case "failed":
            return Result("failed", {"error": dict(place.error or {})}, place.error)
        case "skipped":
            return Result("skipped", reason=place.reason)
        case _:
            return Result("succeeded", place.output)
