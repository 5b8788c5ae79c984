"""What an interpreter decides: entries for the journal, and attempts to begin or to call off."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from autobot.automation.runs.journal import (
    Ended,
    Failed,
    JournalEntry,
    Outcome,
    Place,
    Started,
)
from autobot.automation.runs.state import PlaceState, RunState
from autobot.automation.runs.waits import outcome
from autobot.contracts.runs import State


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt to begin once ``entry`` is written; ``timeout`` in seconds.

    Where it needs ``secrets``, their names, ``arguments`` still has its expressions, and ``names``
    is what else they may read: a secret's value is in no decision.
    """

    entry: Started
    use: str
    arguments: JsonValue
    timeout: int
    secrets: frozenset[str] = frozenset()
    names: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Decision:
    """``entries`` have those of ``starts`` among them. ``stop`` names attempts to call off.

    With nothing in flight and no entries the run is given back as ``state``, until ``due``; None
    leaves its state as it was. ``more``: there is more to decide at once.
    """

    entries: tuple[JournalEntry, ...] = ()
    starts: tuple[Start, ...] = ()
    stop: frozenset[Place] = frozenset()
    state: State | None = "running"
    due: int | None = None
    more: bool = False


def end(
    state: RunState, now: int, how: Outcome, error: Mapping[str, JsonValue] | None = None
) -> Decision:
    """Return the end of a run that has nothing in flight: no attempt stays without a result."""
    return Decision((*given_up(state, now, frozenset()), Ended(how, error)), state=how)


def given_up(
    state: RunState,
    now: int,
    in_flight: frozenset[Place],
    concerns: Callable[[str], bool] = lambda step: True,
) -> Iterator[JournalEntry]:
    """Yield results for attempts whose worker vanished, of steps that have nothing to wait for any
    more: of a run that ends or a loop that failed. Nobody is asked about them any more."""
    for place, known in state.places.items():
        if concerns(place[0]) and place not in in_flight and _is_lost(known):
            answer = outcome(place, known, now) if known.answer else None
            yield answer or unknown(place)


def _is_lost(known: PlaceState) -> bool:
    return known.status == "started" or bool(known.waiting and known.waiting.on == "unknown")


def unknown(place: Place) -> Failed:
    """Return the result of an attempt of which nobody says what became of it."""
    detail = "It is not known whether the step has had its effect."
    return Failed(*place, error={"type": "unknown", "detail": detail})
