"""What a run does next: a pure function of its automation, its state and the time.

The graph is interpreted and never replayed. A decision is entries for the journal; an attempt may
begin once its `Started` is written. So a worker that vanishes leaves nothing behind but a
`Started` without a result, and the next one sees that it is not ``in_flight``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from pydantic import JsonValue

from autobot.automation.document import Automation, ForEach, OnUnknown, Step
from autobot.automation.expressions import holds, items_of, resolve
from autobot.automation.graph import edges
from autobot.automation.runs.journal import (
    Ended,
    Expanded,
    Failed,
    Interrupted,
    JournalEntry,
    Outcome,
    Place,
    Skipped,
    Started,
    Waiting,
    dumps,
)
from autobot.automation.runs.results import Result, result_of
from autobot.automation.runs.retries import described
from autobot.automation.runs.state import PlaceState, RunState
from autobot.automation.runs.waits import WAITS, outcome, wait_for
from autobot.contracts.runs import LONGEST_ENTRY, State
from autobot.errors import AutoBotError, TooLarge

MOST_LOST = 10
"""Attempts of one place whose worker vanished; a step that kills its worker ends here."""

Names = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt to begin once ``entry`` is written; ``timeout`` in seconds."""

    entry: Started
    use: str
    arguments: JsonValue
    timeout: int


@dataclass(frozen=True, slots=True)
class Decision:
    """``entries`` have those of ``starts`` among them. ``stop`` names attempts to call off.

    With nothing in flight and no entries the run is given back as ``state``, until ``due``.
    """

    entries: tuple[JournalEntry, ...] = ()
    starts: tuple[Start, ...] = ()
    stop: frozenset[Place] = frozenset()
    state: State = "running"
    due: int | None = None


class Interpreter:
    """Decides for every run of one version."""

    def __init__(
        self,
        automation: Automation,
        on_unknown: Callable[[str], OnUnknown] = lambda use: "ask",
    ) -> None:
        """``on_unknown`` is a tool's own, for steps that do not say."""
        self.automation = automation
        self.needs = edges(automation)
        order = TopologicalSorter(self.needs).static_order()
        self.by_id = automation.by_id
        self.order = [self.by_id[name] for name in order]
        self.handles = {
            step.id: frozenset(n for n in self.needs[step.id] if self.by_id[n].handler == step.id)
            for step in self.order
        }
        self.last_branch = self._last_branch()
        self._on_unknown = on_unknown

    def policy(self, step: Step) -> OnUnknown:
        """What to do about an attempt without a result."""
        return step.on_unknown or self._on_unknown(step.use)

    def _last_branch(self) -> frozenset[str]:
        """The automation's handler and what needs it: they run once the run has failed."""
        if self.automation.on_error in {None, *(step.handler for step in self.order)}:
            return frozenset()
        branch = {self.automation.on_error}
        for step in self.order:
            if branch & self.needs[step.id]:
                branch.add(step.id)
        return frozenset(name for name in branch if name)

    def decide(
        self, state: RunState, now: int, in_flight: frozenset[Place] = frozenset()
    ) -> Decision:
        """Return what to write and to begin. ``in_flight`` is what this worker executes."""
        limit = self.automation.limits.journal
        if state.ended:
            return Decision(state=state.ended.state)
        if state.cancelled:
            return Decision(stop=in_flight) if in_flight else _end("cancelled")
        if state.seq >= limit:
            error = {"type": "journal-full", "detail": f"A journal has at most {limit} entries."}
            return Decision(stop=in_flight) if in_flight else _end("failed", error)
        return _Pass(self, state, now, in_flight).decide()


def _end(state: Outcome, error: Mapping[str, JsonValue] | None = None) -> Decision:
    return Decision((Ended(state, error),), state=state)


class _Pass:
    """One walk over the steps, each after those that it needs."""

    def __init__(
        self, of: Interpreter, state: RunState, now: int, in_flight: frozenset[Place]
    ) -> None:
        self.of, self.state, self.now, self.in_flight = of, state, now, in_flight
        self.entries: list[JournalEntry] = []
        self.starts: list[Start] = []
        self.dues: list[int] = []
        self.results: dict[str, Result] = {}
        self.error: Mapping[str, JsonValue] | None = None

    def decide(self) -> Decision:
        flying = {step for step, _ in self.in_flight}
        for step in self.of.order:
            result = result_of(self.state, step, step.id in flying)
            if result:
                self._keep(step, result)
        branch = self.of.last_branch
        steps = [s for s in self.of.order if (s.id in branch) == (self.error is not None)]
        if self.error is None or flying <= branch:
            for step in steps:
                if step.id not in self.results:
                    self._advance(step)
            if not self.entries and all(step.id in self.results for step in steps):
                return _end("failed" if self.error else "succeeded", self.error)
        due = None if self.state.paused else min(self.dues, default=None)
        return Decision(tuple(self.entries), tuple(self.starts), state=self._state(), due=due)

    def _state(self) -> State:
        if self.in_flight or self.starts:
            return "running"
        return "paused" if self.state.paused else "waiting"

    def _keep(self, step: Step, result: Result) -> None:
        """Remember what is over, and the first error that fails the run."""
        self.results[step.id] = result
        fails = result.status == "failed" and step.on_error == "fail"
        if fails and step.id not in self.of.last_branch and self.error is None:
            self.error = {"step": step.id, **(result.error or {})}

    # One step.

    def _advance(self, step: Step) -> None:
        if step.id in self.state.items:
            self._go_on_with_items(step, len(self.state.items[step.id]))
        elif place := self.state.places.get((step.id, None)):
            self._go_on(step, None, place)
        elif self._may_begin(step):
            if step.for_each:
                self._expand(step, step.for_each)
            else:
                self._begin(step, None, 0)

    def _may_begin(self, step: Step) -> bool:
        """Whether all that it needs is there; a step that cannot run any more is skipped."""
        needs, results = self.of.needs[step.id], self.results
        if any(name not in results for name in needs):
            return False
        handles = self.of.handles[step.id]
        if handles and not any(results[name].status == "failed" for name in handles):
            return self._skip(step, "unasked")
        if any(self._is_missing(step, name, results[name]) for name in needs - handles):
            return self._skip(step, "needs")
        if self.state.paused:
            return False
        try:
            runs = holds(step.condition, self._names(), step.id)
        except AutoBotError as error:
            return self._fail(step, None, error)
        return runs or self._skip(step, "condition")

    def _is_missing(self, step: Step, name: str, result: Result) -> bool:
        """What was left out by its own condition is missed only by a step that names it."""
        if result.status == "skipped":
            return step.needs is not None or result.reason in ("needs", "no-items")
        return result.status == "failed" and self.of.by_id[name].on_error != "continue"

    def _skip(self, step: Step, reason: str) -> bool:
        self.entries.append(Skipped(step.id, reason=reason))
        self.results[step.id] = Result("skipped", reason=reason)
        return False

    def _fail(self, step: Step, number: int | None, error: AutoBotError) -> bool:
        self.entries.append(Failed(step.id, number, error=described(error)))
        return False

    # The items of a loop.

    def _expand(self, step: Step, loop: ForEach) -> None:
        limits = self.of.automation.limits
        try:
            items = items_of(loop.items, self._names(), limits.items, step.id)
            if self.state.seq + 2 * len(items) >= limits.journal:
                raise TooLarge(f"{len(items)} items do not fit into the run's journal.")
            if len(dumps(items)) > LONGEST_ENTRY - 1_000:
                raise TooLarge("The items are too large for one entry of the journal.")
        except AutoBotError as error:
            self._fail(step, None, error)
            return
        if items:
            self.entries.append(Expanded(step.id, items=items))
        else:
            self._skip(step, "no-items")

    def _go_on_with_items(self, step: Step, many: int) -> None:
        assert step.for_each is not None
        places = self.state.of(step.id)
        failed = any(place.status == "failed" for place in places.values())
        room = step.for_each.parallel
        for number, place in places.items():
            if place.status in ("started", "waiting", "retrying"):
                room -= 1
                self._go_on(step, number, place)
        stopped = self.state.paused or (failed and step.on_error != "continue")
        fresh = [] if stopped else [n for n in range(many) if n not in places]
        for number in fresh[: max(0, room)]:
            self._begin(step, number, 0)

    # One place: a step, or one item of a loop.

    def _begin(self, step: Step, number: int | None, attempts: int) -> None:
        place = step.id, number
        try:
            arguments = resolve(step.arguments, self._names(place), step.id)
            if step.use in WAITS:
                longest = self.of.automation.limits.waiting
                self.entries.append(wait_for(step.use, place, arguments, self.now, longest))
                return
        except AutoBotError as error:
            self._fail(step, number, error)
            return
        entry = Started(step.id, number, attempts + 1)
        self.entries.append(entry)
        self.starts.append(Start(entry, step.use, arguments, step.timeout))

    def _go_on(self, step: Step, number: int | None, place: PlaceState) -> None:
        if self.state.paused:
            return
        match place.status:
            case "started" if (step.id, number) not in self.in_flight:
                self._decide_unknown(step, number, place)
            case "retrying" if self.now >= (place.until or 0):
                self._begin(step, number, place.attempts)
            case "retrying":
                self.dues.append(place.until or 0)
            case "waiting":
                self._wait(step, number, place)
            case _:
                pass

    def _wait(self, step: Step, number: int | None, place: PlaceState) -> None:
        end = outcome((step.id, number), place, self.now)
        if end:
            self.entries.append(end)
        elif place.answer:
            self._begin_again(step, number, place)
        elif place.until is not None:
            self.dues.append(place.until)

    def _decide_unknown(self, step: Step, number: int | None, place: PlaceState) -> None:
        """The worker of this attempt vanished: its effect may have happened or not."""
        policy = self.of.policy(step)
        if policy == "ask":
            until = self.now + self.of.automation.limits.waiting * 1000
            self.entries.append(Waiting(step.id, number, on="unknown", until=until))
        elif policy == "retry" and place.lost < MOST_LOST:
            self._begin_again(step, number, place)
        else:
            detail = "It is not known whether the step has had its effect."
            self.entries.append(
                Failed(step.id, number, error={"type": "unknown", "detail": detail})
            )

    def _begin_again(self, step: Step, number: int | None, place: PlaceState) -> None:
        self.entries.append(Interrupted(step.id, number))
        self._begin(step, number, place.attempts)

    def _names(self, place: Place | None = None) -> Names:
        created = self.state.created
        names: dict[str, Any] = {
            "inputs": dict(created.inputs) if created else {},
            "trigger": dict(created.trigger) if created else {},
            "run": {"id": self.state.run},
            "steps": {n: r.value for n, r in self.results.items() if r.status != "skipped"},
        }
        if self.error is not None:
            names["error"] = dict(self.error)
        if place and place[1] is not None:
            names |= {"item": self.state.items[place[0]][place[1]], "index": place[1]}
        return names
