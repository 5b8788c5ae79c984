"""The state of a run: a fold over its journal, the same whoever computes it and when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from autobot.automation.runs.journal import (
    Answer,
    Answered,
    Asked,
    Crashed,
    Created,
    Ended,
    Expanded,
    Failed,
    Interrupted,
    JournalEntry,
    Place,
    Skipped,
    Started,
    Succeeded,
    Unknown,
    Waiting,
)

Status = Literal["started", "retrying", "waiting", "succeeded", "failed", "skipped"]
OVER: frozenset[Status] = frozenset({"succeeded", "failed", "skipped"})


@dataclass(slots=True)
class PlaceState:
    """A step, or one item of a loop. ``attempts`` counts those begun, ``lost`` those of them whose
    worker vanished; ``until`` is when a retry or a wait is over."""

    status: Status
    attempts: int = 0
    lost: int = 0
    output: JsonValue = None
    blob: str | None = None
    error: Mapping[str, JsonValue] | None = None
    until: int | None = None
    waiting: Waiting | None = None
    answer: Answered | None = None
    reason: str = ""
    seq: int = 0
    """The number of its last entry."""

    @property
    def failures(self) -> int:
        """How many attempts have failed or will be known to have."""
        return self.attempts - self.lost


@dataclass(slots=True)
class RunState:
    """What is known of a run. Only `apply` changes it."""

    run: str = ""
    created: Created | None = None
    places: dict[Place, PlaceState] = field(default_factory=dict[Place, PlaceState])
    items: dict[str, Sequence[JsonValue]] = field(default_factory=dict[str, Sequence[JsonValue]])
    cancelled: bool = False
    paused: bool = False
    ended: Ended | None = None
    seq: int = 0
    crashes: int = 0
    blob_bytes: int = 0
    """Of all results that are too large for an entry."""
    told_ends: dict[str, Answered] = field(default_factory=dict[str, Answered])
    """Of the runs that its steps have started, by their ids."""
    foreign: bool = False
    """The journal has what this program does not know: it must not go on with the run."""

    def apply(self, entry: JournalEntry) -> None:
        """Add the next entry."""
        self.seq += 1
        match entry:
            case Created():
                self.created = entry
            case Asked(what=what):
                self.cancelled |= what == "cancel"
                self.paused = what == "pause" if what != "cancel" else self.paused
            case Ended():
                self.ended = self.ended or entry
            case Expanded(step=step, items=items):
                self.items[step] = items
            case Unknown():
                self.foreign = True
            case Crashed():
                self.crashes += 1
            case Answered():
                self._answer(entry)
            case _:
                self._place(entry)

    def _answer(self, entry: Answered) -> None:
        """The first answer counts, and only to a question that was asked; but the end of a run may
        be told before the step that started it says that it waits."""
        if entry.answer == "ended":
            self.told_ends[entry.by] = entry
        place = self.places.get(entry.place)
        if place and place.waiting and place.answer is None and _fits(place.waiting, entry):
            place.answer = entry

    def _place(self, entry: Started | Succeeded | Failed | Interrupted | Skipped | Waiting) -> None:
        place = self.places.setdefault(entry.place, PlaceState("started"))
        place.until = place.waiting = place.answer = None
        place.seq = self.seq
        match entry:
            case Started(attempt=attempt):
                place.status, place.attempts = "started", attempt
            case Succeeded(output=output, blob=blob, size=size):
                place.status, place.output, place.blob = "succeeded", output, blob
                self.blob_bytes += size
            case Failed(error=error, retry_at=retry_at):
                place.status = "failed" if retry_at is None else "retrying"
                place.error, place.until = error, retry_at
            case Interrupted():
                place.status, place.lost, place.until = "retrying", place.lost + 1, 0
            case Skipped(reason=reason):
                place.status, place.reason = "skipped", reason
            case Waiting(until=until):
                place.status, place.until, place.waiting = "waiting", until, entry
                if entry.on == "run":
                    place.answer = self.told_ends.get(str(entry.detail.get("run")))

    def of(self, step: str) -> dict[int | None, PlaceState]:
        """Return what is known of a step: of each item of a loop under its number."""
        if step not in self.items:
            return {None: self.places[step, None]} if (step, None) in self.places else {}
        numbers = range(len(self.items[step]))
        return {n: self.places[step, n] for n in numbers if (step, n) in self.places}


def _fits(waiting: Waiting, entry: Answered) -> bool:
    answers: dict[str, tuple[Answer, ...]] = {
        "approval": ("approve", "reject"),
        "unknown": ("retry", "fail", "done"),
        "run": ("ended",),
    }
    return entry.answer in answers.get(waiting.on, ())


def fold(entries: Iterable[JournalEntry]) -> RunState:
    """Return the state after these entries, which are a journal from its beginning."""
    state = RunState()
    for entry in entries:
        state.apply(entry)
    return state
