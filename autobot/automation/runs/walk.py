"""One walk over an automation's steps: what each of them does next."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from autobot.automation.document import ForEach, Step
from autobot.automation.expressions import holds, items_of, resolve
from autobot.automation.runs.decisions import Decision, Start, end, given_up, unknown
from autobot.automation.runs.journal import (
    Expanded,
    Failed,
    Interrupted,
    JournalEntry,
    Place,
    Skipped,
    Started,
    Waiting,
    dumps,
)
from autobot.automation.runs.plan import Plan
from autobot.automation.runs.results import Result, result_of
from autobot.automation.runs.retries import as_failure, described
from autobot.automation.runs.state import PlaceState, RunState
from autobot.automation.runs.waits import WAITS, outcome, wait_for
from autobot.automation.scopes import WITHOUT_SECRETS
from autobot.contracts.runs import LONGEST_ENTRY, State
from autobot.errors import TooLarge

MOST_LOST = 10
"""Attempts of one place whose worker vanished; a step that kills its worker ends here."""
MOST_AT_ONCE = 8
"""Entries of one decision: their expressions are evaluated without a pause."""

Error = Mapping[str, JsonValue]


class Walk:
    """Visits the steps, each after those that it needs.

    Whatever evaluating a step raises is that step's failure.
    """

    def __init__(self, of: Plan, state: RunState, now: int, in_flight: frozenset[Place]) -> None:
        self.of, self.state, self.now, self.in_flight = of, state, now, in_flight
        self.entries: list[JournalEntry] = []
        self.starts: list[Start] = []
        self.dues: list[int] = []
        self.results: dict[str, Result] = {}
        self.error: Error | None = None
        self.asks = self.more = False

    def decide(self, full: Error | None) -> Decision:
        """Decide; ``full`` is the error of a run whose journal is."""
        flying = {step for step, _ in self.in_flight}
        for step in self.of.order:
            result = result_of(self.state, step, step.id in flying)
            if result:
                self.results[step.id] = result
        branch = self.of.last_branch
        self.error = self._first_error()
        if full and self.error is None and self.results.keys() | branch < self.of.by_id.keys():
            self.error = full
        lost = tuple(given_up(self.state, self.now, self.in_flight, self._is_over))
        if lost:
            return Decision(lost, state=self._state())
        steps = [s for s in self.of.order if (s.id in branch) == (self.error is not None)]
        if self.error is None or flying <= branch:
            self._visit(steps)
            if not self.entries and all(step.id in self.results for step in steps):
                how = "failed" if self.error else "succeeded"
                return end(self.state, self.now, how, self.error)
        if self._is_stuck():
            stuck = {"type": "stuck", "detail": "No step can begin, and none is waited for."}
            return end(self.state, self.now, "failed", self.error or stuck)
        due = None if self.state.paused else min(self.dues, default=None)
        entries, starts = tuple(self.entries), tuple(self.starts)
        return Decision(entries, starts, state=self._state(), due=due, more=self.more)

    def _visit(self, steps: list[Step]) -> None:
        for step in steps:
            if step.id not in self.results:
                if self._is_enough():
                    return
                self._advance(step)

    def _is_enough(self) -> bool:
        """Whether the rest is decided next time: the engine has other runs too."""
        self.more = len(self.entries) >= MOST_AT_ONCE
        return self.more

    def _state(self) -> State:
        if self.in_flight or self.starts:
            return "running"
        return "paused" if self.state.paused else "waiting"

    def _is_stuck(self) -> bool:
        """No run stays for ever with nothing to wait for, whatever its document says."""
        waits = self.in_flight or self.entries or self.dues or self.asks
        return not waits and not self.state.paused

    def _is_over(self, step: str) -> bool:
        """Whether nothing more is begun of a step: it is over, or the run has failed."""
        failed = self.error is not None and step not in self.of.last_branch
        return failed or step in self.results

    def _first_error(self) -> Error | None:
        """The first error that fails the run. One is handled only if its handler ran."""
        fails: list[tuple[int, str, Result]] = []
        for step, result in self.results.items():
            if result.status == "failed" and step not in self.of.last_branch:
                of = self.of.by_id[step]
                handler = self.results.get(of.handler or "")
                unheard = of.handler in self.of.last_branch
                if of.on_error == "fail" or unheard or (handler and handler.status == "skipped"):
                    fails.append((result.seq, step, result))
        if not fails:
            return None
        _, step, result = min(fails, key=lambda fail: fail[0])
        return {"step": step, **(result.error or {})}

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
        missing = needs - results.keys()
        if self.error is not None and missing - self.of.last_branch:
            return self._skip(step, "needs")  # the run has failed: those never begin
        if missing:
            return False
        handles = self.of.handles[step.id]
        if handles and not any(results[name].status == "failed" for name in handles):
            return self._skip(step, "unasked")
        if any(self._is_missing(step, name, results[name]) for name in needs - handles):
            return self._skip(step, "needs")
        if self.state.paused:
            return False
        if step.id in self.of.asks_each:
            return True
        try:
            runs = holds(step.condition, self._names(), step.id)
        except Exception as error:
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

    def _fail(self, step: Step, number: int | None, error: Exception) -> bool:
        self.entries.append(Failed(step.id, number, error=described(as_failure(error))))
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
        except Exception as error:
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
        if failed and step.on_error != "continue":
            return  # it is over once what is under way is
        room = step.for_each.parallel
        for number, place in places.items():
            if place.status in ("started", "waiting", "retrying"):
                if self._is_enough():
                    return
                room -= 1
                self._go_on(step, number, place)
        for number in [] if self.state.paused else [n for n in range(many) if n not in places]:
            if room <= 0 or self._is_enough():
                return
            room -= self._begin_item(step, number)

    def _begin_item(self, step: Step, number: int) -> bool:
        """Return whether it is under way: an item may be left out by the loop's ``if``."""
        if step.id in self.of.asks_each:
            try:
                if not holds(step.condition, self._names((step.id, number)), step.id):
                    self.entries.append(Skipped(step.id, number))
                    return False
            except Exception as error:
                return self._fail(step, number, error)
        self._begin(step, number, 0)
        return True

    # One place: a step, or one item of a loop.

    def _begin(self, step: Step, number: int | None, attempts: int) -> None:
        place = step.id, number
        entry = Started(step.id, number, attempts + 1)
        names, secrets = self._names(place), self.of.secrets_of[step.id]
        if secrets and step.use not in WITHOUT_SECRETS:
            self.entries.append(entry)
            start = Start(entry, step.use, step.arguments, step.timeout, secrets, names)
            self.starts.append(start)
            return
        try:
            arguments = resolve(step.arguments, names, step.id)
            if step.use in WAITS:
                longest = self.of.automation.limits.waiting
                self.entries.append(wait_for(step.use, place, arguments, self.now, longest))
                return
        except Exception as error:
            self._fail(step, number, error)
            return
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
        else:
            self.asks = True

    def _decide_unknown(self, step: Step, number: int | None, place: PlaceState) -> None:
        """The worker of this attempt vanished: its effect may have happened or not."""
        policy = self.of.policy(step)
        if policy == "ask":
            until = self.now + self.of.automation.limits.waiting * 1000
            self.entries.append(Waiting(step.id, number, on="unknown", until=until))
        elif policy == "retry" and place.lost < MOST_LOST:
            self._begin_again(step, number, place)
        else:
            self.entries.append(unknown((step.id, number)))

    def _begin_again(self, step: Step, number: int | None, place: PlaceState) -> None:
        self.entries.append(Interrupted(step.id, number))
        self._begin(step, number, place.attempts)

    def _names(self, place: Place | None = None) -> Mapping[str, Any]:
        created = self.state.created
        left_out = {n: dict[str, Any]() for n, r in self.results.items() if r.status == "skipped"}
        names: dict[str, Any] = {
            "inputs": dict(created.inputs) if created else {},
            "trigger": dict(created.trigger) if created else {},
            "run": {"id": self.state.run},
            "steps": {n: r.value for n, r in self.results.items() if r.status != "skipped"}
            | left_out,
        }
        if self.error is not None:
            names["error"] = dict(self.error)
        if place and place[1] is not None:
            names |= {"item": self.state.items[place[0]][place[1]], "index": place[1]}
        return names
