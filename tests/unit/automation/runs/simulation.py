"""Two engines, one store, and everything that can go wrong between them, in made time.

A `Schedule` says what goes wrong and when. `simulate` runs it and returns what broke the promise:
each step's result recorded once; a recorded step never runs again; its effect at least once, and at
most once with ``on_unknown: fail`` and one attempt; a run ends, waits for a person, or waits for a
stated instant; nothing that was asked is lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from pydantic import JsonValue

from autobot.automation.document import Automation
from autobot.automation.runs.engine import Engine
from autobot.automation.runs.journal import (
    Answered,
    Asked,
    Created,
    Ended,
    Skipped,
    Started,
    Succeeded,
    Waiting,
    decoded,
    encode,
    new_run,
)
from autobot.automation.runs.state import RunState, fold
from autobot.contracts.runs import ENDED, LONGEST_INLINE, FakeRuns
from autobot.errors import AutoBotError, Invalid, Unavailable
from tests.unit.automation.runs.tools import Tools, automation
from tests.unit.automation.runs.virtual import run_virtually

EPOCH = 1_800_000_000_000
POLL_S = 4.0
QUIET_S = 2_500.0
"""After the last fault everything has ended or waits by then."""
FAULTS = ("crash before", "crash after", "lost request", "lost reply", "late", "late reply")
UNEXPECTED = "unexpected"
"""The call raises what no store should."""
LATE_S = 45.0
"""A call that hangs longer than a lease lasts, as that of a stopped process."""
LARGE = "x" * (LONGEST_INLINE + 1)


@dataclass(frozen=True)
class Schedule:
    """``faults``: (engine, method, how manieth call of it) -> what happens to that call. Times are
    in seconds."""

    steps: tuple[dict[str, Any], ...]
    on_error: str | None = None
    faults: dict[tuple[int, str, int], str] = field(default_factory=dict[tuple[int, str, int], str])
    crashes: tuple[tuple[int, float], ...] = ()
    jumps: tuple[tuple[float, float], ...] = ()
    away: tuple[tuple[float, float], ...] = ()
    asked: tuple[tuple[float, str], ...] = ()

    @property
    def last(self) -> float:
        """When the last thing of the schedule happens."""
        instants = [0.0, *(at for _, at in self.crashes), *(at for at, _ in self.jumps)]
        instants += [at for at, _ in self.asked] + [at + for_s for at, for_s in self.away]
        return max(instants)

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong."""
        return not (self.faults or self.crashes or self.jumps or self.away)


class Process:
    """An engine that can be killed; a new one takes its place."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.calls: Counter[str] = Counter()
        self.dead = False
        self.start()

    def start(self) -> None:
        self.dead = False
        engine = Engine(
            _Faulty(self),
            self.world.tools(self),
            self.world.version,
            poll_s=POLL_S,
            random=lambda: 0.5,
        )
        self.task = asyncio.create_task(engine.run(asyncio.Event()))

    def kill(self) -> None:
        if not self.dead:
            self.dead = True
            self.task.cancel()
            asyncio.get_running_loop().call_later(3.0, self.start)


class _Faulty:
    """The store as one process reaches it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._incarnation: Any = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        process = self._process
        world = process.world
        method = getattr(world.runs, name)

        async def call(*args: Any) -> Any:
            mine = process.task
            await asyncio.sleep(0)
            process.calls[name] += 1
            fault = world.schedule.faults.get((process.number, name, process.calls[name]))
            if fault == "crash before":
                process.kill()
            if fault == "late":
                await asyncio.sleep(LATE_S)
            if process.dead or process.task is not mine:
                await asyncio.get_running_loop().create_future()
            if fault == "lost request" or world.is_away:
                raise Unavailable
            if fault == UNEXPECTED:
                raise RuntimeError("a fault of the store")
            result = await method(*args)
            if fault == "crash after":
                process.kill()
                await asyncio.get_running_loop().create_future()
            if fault == "late reply":
                await asyncio.sleep(LATE_S)
                if process.dead or process.task is not mine:
                    await asyncio.get_running_loop().create_future()
            if fault == "lost reply":
                raise Unavailable
            return result

        return call


class World:
    """What the engines act upon, and what is checked afterwards."""

    def __init__(self, schedule: Schedule, store: type[FakeRuns]) -> None:
        self.schedule = schedule
        self.document: Automation = automation(*schedule.steps, on_error=schedule.on_error)
        self.jump = 0.0
        self.is_away = False
        self.runs = store(self._clock)
        self.effects: Counter[str] = Counter()
        self.executions: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self.broken: list[str] = []

    def _clock(self) -> int:
        return EPOCH + round((asyncio.get_running_loop().time() + self.jump) * 1000)

    async def version(self, version: str) -> Automation:
        return self.document

    def tools(self, process: Process) -> Tools:
        async def act(arguments: Any, key: str, cancel: asyncio.Event) -> JsonValue:
            step = key.split("/", 1)[1]
            if step in self._recorded():
                self.broken.append(f"{key} runs again although its result is recorded")
            if step not in self._started():
                self.broken.append(f"{key} begins although it was given up")
            self._check_read(arguments)
            self.executions[step] += 1
            await asyncio.sleep(arguments["before"])
            if process.dead:
                raise asyncio.CancelledError
            if self.failures[step] < arguments["fails"]:
                self.failures[step] += 1
                raise Invalid("told to fail") if arguments["final"] else AutoBotError("so told")
            self.effects[step] += 1
            await asyncio.sleep(arguments["after"])
            return {"done": step, "text": LARGE if arguments["large"] else ""}

        return Tools(act=act)

    def _is_left_out(self, step: str) -> bool:
        """Whether its own ``if`` was false: then what is read of it is empty."""
        entries = decoded(self.runs.kept["r"].log)
        return any(isinstance(entry, Skipped) and entry.step == step for entry in entries)

    def _recorded(self) -> list[str]:
        entries = decoded(self.runs.kept["r"].log)
        return [_name(e.step, e.iteration) for e in entries if isinstance(e, Succeeded)]

    def _started(self) -> set[str]:
        places = fold(decoded(self.runs.kept["r"].log)).places
        return {_name(*place) for place, known in places.items() if known.status == "started"}

    def _check_read(self, arguments: Any) -> None:
        """What a step was given of another is that one's whole result, also after a restart."""
        source = arguments.get("source")
        if source and (step := self.document.step(source)).use == "act" and not step.for_each:
            text = LARGE if step.arguments["large"] else ""
            read = arguments["read"]
            wanted = {} if self._is_left_out(source) else {"done": source, "text": text}
            if read != wanted and "error" not in read:
                self.broken.append(f"the result of {source} is {str(read)[:80]}")

    async def go(self) -> None:
        created = Created("v1")
        await self.runs.create(new_run("r", "test", created))
        loop = asyncio.get_running_loop()
        processes = [Process(self, 0), Process(self, 1)]
        for number, at in self.schedule.crashes:
            loop.call_later(at, processes[number].kill)
        for at, by in self.schedule.jumps:
            loop.call_later(at, self._jump, by)
        for at, for_s in self.schedule.away:
            loop.call_later(at, self._away, True)
            loop.call_later(at + for_s, self._away, False)
        asking = [asyncio.create_task(self._ask(at, what)) for at, what in self.schedule.asked]
        end = self.schedule.last + QUIET_S + LATE_S * len(self.schedule.faults)
        while loop.time() < end and not (  # noqa: ASYNC110 - time is made here
            loop.time() > self.schedule.last and all(a.done() for a in asking) and self._rests()
        ):
            await asyncio.sleep(2 * POLL_S)
        await asyncio.gather(*asking)
        self.check()

    def _jump(self, by: float) -> None:
        self.jump += by

    def _away(self, away: bool) -> None:
        self.is_away = away

    def _rests(self) -> bool:
        kept = self.runs.kept["r"]
        far = self._clock() + 3_600_000
        return kept.state in ENDED or (not kept.held and (kept.due is None or kept.due > far))

    async def _ask(self, at: float, what: str) -> None:
        """Somebody outside, who insists until the store has answered."""
        await asyncio.sleep(at)
        entry = (
            Answered(what[8:], answer="approve", by="me")
            if what.startswith("approve ")
            else (
                Asked(what, by="me")  # pyright: ignore[reportArgumentType]
            )
        )
        while True:
            if what.startswith("approve ") and not self._waits(what[8:]):
                if self.runs.kept["r"].state in ENDED:
                    return
                await asyncio.sleep(POLL_S)
                if asyncio.get_running_loop().time() > self.schedule.last + QUIET_S / 2:
                    return
                continue
            if not self.is_away:
                purpose = "end" if what == "cancel" else "other"
                outcome = await self.runs.ask("r", f"{what} {at}", encode(entry), purpose)
                if outcome == "ok":
                    self.acknowledged.append(what)
                return
            await asyncio.sleep(1)

    def _waits(self, step: str) -> bool:
        entries = decoded(self.runs.kept["r"].log)
        return any(isinstance(e, Waiting) and e.step == step for e in entries)

    # The promise.

    def check(self) -> None:
        log = self.runs.kept["r"].log
        entries = decoded(log)
        if [entry.seq for entry in log] != list(range(1, len(log) + 1)):
            self.broken.append("the journal's numbers have gaps")
        for name, times in Counter(self._recorded()).items():
            if times > 1:
                self.broken.append(f"the result of {name} is recorded {times} times")
            if self._use(name) == "act" and not self.effects[name]:
                self.broken.append(f"{name} succeeded and has had no effect")
        begun = Counter((e.place, e.attempt) for e in entries if isinstance(e, Started))
        for (place, attempt), times in begun.items():
            if times > 1:
                self.broken.append(f"attempt {attempt} of {place} is recorded {times} times")
        ends = [number for number, entry in enumerate(entries) if isinstance(entry, Ended)]
        if ends and any(not isinstance(e, Asked | Answered) for e in entries[ends[0] + 1 :]):
            self.broken.append("the journal goes on after the run's end")
        self._check_at_most_once()
        self._check_calm()
        self._check_end()

    def _use(self, name: str) -> str:
        return self.document.step(name.split("/")[0]).use

    def _check_at_most_once(self) -> None:
        for step in self.document.steps:
            if step.on_unknown == "fail" and step.retry.attempts == 1:
                for name, times in self.effects.items():
                    if name.split("/")[0] == step.id and times > 1:
                        self.broken.append(f"{name} has had its effect {times} times")

    def _check_calm(self) -> None:
        if self.schedule.calm and not self.schedule.asked:
            entries = decoded(self.runs.kept["r"].log)
            begun = Counter(_name(e.step, e.iteration) for e in entries if isinstance(e, Started))
            for name, times in begun.items():
                if times != self.effects[name] + self.failures[name] or self.effects[name] > 1:
                    self.broken.append(f"{name} was begun {times} times and nothing was wrong")

    def _check_end(self) -> None:
        kept = self.runs.kept["r"]
        state = fold(decoded(kept.log))
        asked_of_a_person = state.paused or any(
            place.waiting and place.waiting.on in ("approval", "unknown") and not place.answer
            for place in state.places.values()
        )
        if kept.state in ENDED:
            self._check_places(state)
        if kept.state not in ENDED and not asked_of_a_person:
            self.broken.append(f"the run is {kept.state} for ever: {entries_of(self.runs)}")
        if "cancel" in self.acknowledged and kept.state not in ENDED:
            self.broken.append("a cancel was lost")
        for what in self.acknowledged:
            step = what.removeprefix("approve ")
            place = state.places.get((step, None))
            alive = kept.state not in ENDED and not state.paused
            if what != step and alive and (not place or place.status == "waiting"):
                self.broken.append(f"the approval of {step} was lost")

    def _check_places(self, state: RunState) -> None:
        """After the end every attempt has a result, and a success has no error unhandled."""
        for (name, _), place in state.places.items():
            if place.status == "started" or (place.waiting and place.waiting.on == "unknown"):
                self.broken.append(f"nobody decides what became of {name}")
            step = self.document.step(name)
            handler = state.places.get((step.handler or "", None))
            handled = step.on_error == "continue" or (handler and handler.status != "skipped")
            succeeded = state.ended is not None and state.ended.state == "succeeded"
            if place.status == "failed" and succeeded and not handled:
                self.broken.append(f"the error of {name} is swallowed")


def entries_of(runs: FakeRuns) -> list[str]:
    """The journal for a person to read."""
    return [f"{entry.token} {entry.body.decode()}" for entry in runs.kept["r"].log]


def _name(step: str, iteration: int | None) -> str:
    return step if iteration is None else f"{step}/{iteration}"


def simulate(schedule: Schedule, store: type[FakeRuns] = FakeRuns) -> list[str]:
    """Return what broke the promise; nothing when it was kept."""
    broken: list[str] = []

    async def go() -> None:
        world = World(schedule, store)
        try:
            await world.go()
        finally:
            broken.extend(world.broken)

    run_virtually(go())
    return broken


# Drawing schedules.

TIMES = st.sampled_from([0.0, 1.0, 5.0, 12.0, 28.0, 31.0, 45.0, 70.0])


@st.composite
def _step(draw: st.DrawFn, number: int) -> dict[str, Any]:
    step: dict[str, Any] = {
        "id": f"s{number}",
        "use": draw(st.sampled_from(["act"] * 4 + ["wait", "approve"])),
    }
    before = f"s{number - 1}" if number else ""
    if number and draw(st.booleans()):
        before = f"s{draw(st.integers(0, number - 1))}" if draw(st.booleans()) else ""
        step["needs"] = [before] if before else []
    if step["use"] == "wait":
        return step | {"with": {"seconds": draw(st.sampled_from([1, 20, 90]))}}
    if step["use"] == "approve":
        return step | {"with": {"message": "?"}}
    step["with"] = _act(draw)
    if before and draw(st.booleans()):
        step["with"] |= {"source": before, "read": f"${{{{ steps.{before} }}}}"}
    if before and draw(st.integers(0, 3)) == 0:
        step["if"] = f"${{{{ size(steps.{before}) > 0 }}}}"
    step["on_unknown"] = draw(st.sampled_from(["retry", "ask", "fail"]))
    step["retry"] = {"attempts": draw(st.sampled_from([1, 1, 3]))}
    if draw(st.integers(0, 3)) == 0:
        step["for_each"] = {"items": [1, 2, 3], "parallel": draw(st.sampled_from([1, 2]))}
        step["if"] = draw(st.sampled_from([True, True, "${{ item != 2 }}"]))
    return step


def _act(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "before": draw(st.sampled_from([0, 2, 35])),
        "after": draw(st.sampled_from([0, 2, 12])),
        "fails": draw(st.sampled_from([0, 0, 1, 2])),
        "final": draw(st.booleans()),
        "large": draw(st.integers(0, 3)) == 0,
    }


@st.composite
def _documents(draw: st.DrawFn) -> tuple[tuple[dict[str, Any], ...], str | None]:
    """Draw up to three steps; half of them have handlers, and what depends on these."""
    steps = [draw(_step(number)) for number in range(draw(st.integers(1, 3)))]
    if draw(st.booleans()):
        return tuple(steps), None
    for step in steps:
        if step["use"] == "act":
            step["on_error"] = draw(st.sampled_from(["fail", "fail", "continue", "h"]))
    handled = [step["id"] for step in steps if step.get("on_error") == "h"]
    names = [step["id"] for step in steps]
    if handled:
        condition = draw(st.sampled_from([True, True, False]))
        steps.append({"id": "h", "use": "act", "with": _act(draw), "if": condition})
    if draw(st.booleans()):
        return tuple(steps), None
    steps.append({"id": "tell", "use": "act", "with": _act(draw)})
    if draw(st.booleans()):
        needs = draw(st.sampled_from([["tell"], ["tell", draw(st.sampled_from(names))]]))
        steps.append({"id": "told", "use": "act", "with": _act(draw), "needs": needs})
    return tuple(steps), "tell"


CALLS = st.one_of(
    st.tuples(st.integers(0, 1), st.just("append"), st.integers(1, 6)),
    st.tuples(st.integers(0, 1), st.sampled_from(["append", "renew"]), st.integers(1, 16)),
    st.tuples(st.integers(0, 1), st.sampled_from(["claim", "read"]), st.integers(1, 10)),
    st.tuples(st.integers(0, 1), st.sampled_from(["put_blob", "blob"]), st.integers(1, 3)),
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Draw one; in every fifth nothing goes wrong."""
    steps, on_error = draw(_documents())
    if draw(st.integers(0, 4)) == 0:
        return Schedule(steps, on_error)
    approvals = [f"approve {step['id']}" for step in steps if step["use"] == "approve"]
    asks = st.sampled_from(["cancel", "pause", "resume", *approvals * 3])
    jumps = st.tuples(TIMES, st.sampled_from([-90.0, -5.0, 40.0, 400.0]))
    faults = st.sampled_from([*FAULTS, UNEXPECTED])
    return Schedule(
        steps,
        on_error,
        faults=draw(st.dictionaries(CALLS, faults, min_size=1, max_size=4)),
        crashes=tuple(draw(st.lists(st.tuples(st.integers(0, 1), TIMES), max_size=2))),
        jumps=tuple(draw(st.lists(jumps, max_size=2))),
        away=tuple(draw(st.lists(st.tuples(TIMES, st.sampled_from([2.0, 40.0])), max_size=1))),
        asked=tuple(draw(st.lists(st.tuples(TIMES, asks), max_size=2))),
    )
