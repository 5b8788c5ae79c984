"""What a worker keeps and writes down when a step, the program or the store does what it should
not."""

import asyncio
from typing import Any

import pytest

from autobot.automation.runs import attempts, worker
from autobot.automation.runs.attempts import DEEPEST
from autobot.automation.runs.interpreter import Interpreter
from autobot.automation.runs.journal import (
    Crashed,
    Created,
    Ended,
    Failed,
    Started,
    Waiting,
    new_run,
)
from autobot.automation.runs.retries import LONGEST_DETAIL, kept_before
from autobot.automation.runs.worker import MOST_CRASHES
from autobot.contracts.runs import LEASE_S, LONGEST_BLOB, LONGEST_INLINE
from autobot.errors import AutoBotError, Busy, Invalid
from tests.unit.automation.runs.lab import Lab
from tests.unit.automation.runs.tools import act, approve, automation, failing, keeping
from tests.unit.automation.runs.virtual import elapsed, run_virtually, virtually


def giving(output: Any) -> Any:
    """A tool that returns this."""

    async def give(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        return output

    return give


def errors(lab: Lab, run: str = "r") -> list[Any]:
    return [entry.error["type"] for entry in lab.entries(run) if isinstance(entry, Failed)]


@virtually
async def test_what_evaluating_a_step_raises_is_that_steps_failure() -> None:
    lab = Lab(give=giving({"id": 2**64 - 1}))
    after = act("b", arguments={"output": "id ${{ steps.a.id + 1 }}"})
    await lab.submit(automation({"id": "a", "use": "give"}, act("first"), after))
    lab.start()
    await lab.reach("failed", within=5)
    assert lab.ran == {"r/first": 1}
    assert lab.statuses() == {"a": "succeeded", "first": "succeeded", "b": "failed"}


@virtually
async def test_a_question_that_is_too_long_fails_its_step_and_repeats_nothing() -> None:
    lab = Lab()
    text = act("a", arguments={"output": {"text": "x" * 1_200_000}})
    ask = {"id": "ok", "use": "approve", "with": {"message": "Send? ${{ steps.a.text }}"}}
    await lab.submit(automation(text, ask))
    lab.start()
    await lab.reach("failed", within=5)
    assert lab.ran == {"r/a": 1}
    assert errors(lab) == ["too-large"]


@virtually
async def test_a_long_error_is_cut_and_its_step_not_tried_again() -> None:
    lab = Lab(fail=failing(Invalid("x" * 1_200_000)))
    await lab.submit(automation({"id": "a", "use": "fail"}))
    lab.start()
    await lab.reach("failed", within=5)
    (failed,) = [entry for entry in lab.entries() if isinstance(entry, Failed)]
    assert LONGEST_DETAIL <= len(str(failed.error["detail"])) < LONGEST_DETAIL + 50


@virtually
async def test_an_output_that_is_nested_too_deep_fails_its_step() -> None:
    deep: list[Any] = []
    for _ in range(DEEPEST - 1):
        deep = [deep]
    lab = Lab(give=giving(deep), deeper=giving([deep]))
    await lab.submit(automation({"id": "a", "use": "give"}, {"id": "b", "use": "deeper"}))
    lab.start()
    await lab.reach("failed", within=5)
    assert lab.statuses() == {"a": "succeeded", "b": "failed"}


@virtually
async def test_results_are_written_although_no_decision_can_be() -> None:
    lab = Lab()
    slow = act("slow", 60, needs=[])
    await lab.submit(automation(act("a", needs=[]), act("b", 3, needs=[]), slow))

    def decide(self: Any, state: Any, now: int, flying: Any = frozenset()) -> Any:
        if state.places:
            raise RuntimeError("a fault of the program")
        return real(self, state, now, flying)

    real = Interpreter.decide
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Interpreter, "decide", decide)
        lab.start()
        await lab.reach("failed", within=200)
    assert sum(isinstance(entry, Crashed) for entry in lab.entries()) == MOST_CRASHES
    assert lab.ran == {"r/a": 1, "r/b": 1, "r/slow": 1}
    assert set(lab.statuses().values()) == {"succeeded"}
    (end,) = [entry for entry in lab.entries() if isinstance(entry, Ended)]
    assert end.error == {"type": "internal", "detail": "RuntimeError: a fault of the program"}


@virtually
async def test_a_result_is_weighed_as_it_is_stored() -> None:
    """`[0,0]` is shorter than `[0, 0]`, and a mask may make it longer."""
    zeros = [0] * ((LONGEST_BLOB - 1) // 2)
    lab = Lab(give=giving(zeros), pins=giving([1234] * 150))
    await lab.submit(automation({"id": "a", "use": "give"}))
    lab.start(secrets=await keeping(PIN="1234"))
    await lab.reach("succeeded", within=5)
    assert len(lab.runs.kept["r"].blobs["a/None/1"]) == 2 * len(zeros) + 1
    given = {"x": "${{ secrets.PIN }}"}
    pins = {"id": "b", "use": "pins", "with": given}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "LONGEST_BLOB", 5 * 150 + 100)
        await lab.submit(automation(pins), "masked")
        await lab.reach("failed", within=5, run="masked")
    assert errors(lab, "masked") == ["too-large"]


@virtually
async def test_a_step_sees_the_same_value_now_and_after_a_restart() -> None:
    lab = Lab(give=giving({"pair": (1, 2)}))
    after = act("b", arguments={"output": "${{ steps.a.pair.map(n, n + 1) }}"})
    await lab.submit(automation({"id": "a", "use": "give"}, after))
    lab.start()
    await lab.reach("succeeded")
    assert lab.output("b") == [2, 3]


@virtually
async def test_a_large_result_that_is_gone_fails_the_run_and_is_not_null() -> None:
    lab = Lab(give=giving("x" * (LONGEST_INLINE + 1)))
    read = act("b", arguments={"output": "${{ steps.a }}"})
    await lab.submit(automation({"id": "a", "use": "give"}, approve("ok"), read))
    lab.start()
    await lab.reach("waiting")
    lab.runs.kept["r"].blobs.clear()
    await lab.stop()
    lab.start()
    await lab.answer("ok", "approve")
    await lab.reach("failed", within=120)
    assert lab.ran == {}
    ended = lab.state().ended
    assert ended is not None
    assert ended.error is not None
    assert "gone" in str(ended.error["detail"])


@virtually
async def test_only_large_results_that_a_step_reads_are_fetched() -> None:
    lab = Lab(give=giving("x" * (LONGEST_INLINE + 1)))
    steps = [{"id": name, "use": "give"} for name in ("a", "b", "c")]
    read = act("d", arguments={"output": "${{ size(steps.b) }}"})
    await lab.submit(automation(*steps, approve("ok"), read, act("e")))
    lab.start()
    await lab.reach("waiting")
    await lab.stop()
    real, fetched = lab.runs.blob, list[str]()

    async def blob(run: str, name: str) -> bytes | None:
        fetched.append(name)
        return await real(run, name)

    lab.runs.blob = blob
    lab.start()
    await lab.answer("ok", "approve")
    await lab.reach("succeeded")
    assert fetched == ["b/None/1"]
    assert lab.output("d") == LONGEST_INLINE + 1


@virtually
async def test_all_large_results_of_a_run_together_are_bounded() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "LONGEST_RESULTS", 5 * LONGEST_INLINE)
        lab = Lab(give=giving("x" * (2 * LONGEST_INLINE)))
        await lab.submit(automation({"id": "a", "use": "give", "for_each": [1, 2, 3, 4]}))
        lab.start()
        await lab.reach("failed")
    assert len(lab.runs.kept["r"].blobs) == 2
    assert errors(lab) == ["too-large"]


@virtually
async def test_a_run_whose_tool_nobody_has_can_be_cancelled() -> None:
    """activepieces#14372: cancel says ok, and it happens."""
    lab = Lab()
    await lab.submit(automation({"id": "a", "use": "gone"}))
    lab.start()
    await asyncio.sleep(10)
    assert await lab.ask("cancel") == "ok"
    await lab.reach("cancelled", within=10)


@virtually
async def test_what_a_newer_program_asks_stops_a_worker() -> None:
    lab = Lab()
    await lab.submit(automation(act("a", 10), act("b")))
    lab.start()
    await lab.reach("running")
    await lab.runs.ask("r", "x", b'{"kind":"asked","what":"skip"}')
    await asyncio.sleep(60)
    assert lab.ran == {"r/a": 1}
    assert not lab.runs.kept["r"].held


class Deaf:
    """A tool that heeds nothing for 400 s."""

    def __init__(self) -> None:
        self.begun = self.now = self.most = 0
        self.told: list[float] = []

    async def __call__(self, arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        self.begun, self.now = self.begun + 1, self.now + 1
        self.most = max(self.most, self.now)
        ends = elapsed() + 400
        while elapsed() < ends:
            try:
                await asyncio.wait_for(cancel.wait(), ends - elapsed())
                self.told.append(elapsed())
                await asyncio.sleep(ends - elapsed())
            except (TimeoutError, asyncio.CancelledError):
                pass
        self.now -= 1


@virtually
async def test_a_step_whose_time_is_over_is_told_so_and_its_person_asked() -> None:
    deaf = Deaf()
    lab = Lab(deaf=deaf)
    await lab.submit(automation({"id": "a", "use": "deaf", "timeout": 60, "on_unknown": "ask"}))
    lab.start()
    await lab.reach("waiting", within=75)
    assert abs(deaf.told[0] - 60) < 1
    await asyncio.sleep(300)
    assert (deaf.begun, deaf.most) == (1, 1)
    (waiting,) = [entry for entry in lab.entries() if isinstance(entry, Waiting)]
    assert (waiting.on, waiting.detail["type"]) == ("unknown", "timeout")
    await lab.answer("a", "done")
    await lab.reach("succeeded", within=5)


@virtually
async def test_a_step_that_must_not_happen_twice_fails_when_its_time_is_over() -> None:
    deaf = Deaf()
    lab = Lab(deaf=deaf)
    await lab.submit(automation({"id": "a", "use": "deaf", "timeout": 60, "on_unknown": "fail"}))
    lab.start()
    await lab.reach("failed", within=75)
    assert (deaf.begun, errors(lab)) == (1, ["timeout"])


@virtually
async def test_no_step_begins_after_a_person_was_asked_about_it() -> None:
    """The append that begins it succeeds, and its reply comes when the lease is over."""
    began: list[list[str]] = []

    async def see(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        began.append([entry.kind for entry in lab.entries()])

    lab = Lab(see=see)
    await lab.submit(automation({"id": "a", "use": "see", "on_unknown": "ask"}))
    append, renew = lab.runs.append, lab.runs.renew
    late = [True]

    async def append_late(lease: Any, seq: int, bodies: Any, release: Any = None) -> Any:
        appended = await append(lease, seq, bodies, release)
        if late and any(b"started" in body for body in bodies):
            late.clear()
            await asyncio.sleep(LEASE_S * 1.5)
        return appended

    async def renew_late(leases: Any) -> Any:
        if late or elapsed() < LEASE_S * 1.4:
            await asyncio.sleep(LEASE_S * 1.5)
        return await renew(leases)

    lab.runs.append, lab.runs.renew = append_late, renew_late
    lab.start()
    await asyncio.sleep(1)
    lab.start()
    await lab.reach("waiting", within=LEASE_S + 5)
    await asyncio.sleep(200)
    assert began == []


@virtually
async def test_an_engine_goes_on_after_an_error_that_it_does_not_expect() -> None:
    lab = Lab()
    real, calls = lab.runs.renew, [0]

    async def renew(leases: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise RuntimeError("BUSY")
        return await real(leases)

    lab.runs.renew = renew
    await lab.submit(automation(act("a", 20)))
    lab.start()
    await lab.reach("succeeded", within=25)


@virtually
async def test_a_tool_that_is_cancelled_from_inside_is_tried_again() -> None:
    times = [0]

    async def stray(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        times[0] += 1
        if times[0] == 1:
            raise asyncio.CancelledError
        return times[0]

    lab = Lab(stray=stray)
    await lab.submit(automation({"id": "a", "use": "stray"}))
    lab.start()
    await lab.reach("succeeded")
    assert lab.output("a") == 2


def later(error: AutoBotError, seconds: float) -> AutoBotError:
    error.retry_after = seconds  # pyright: ignore[reportAttributeAccessIssue]
    return error


class Taken(AutoBotError):
    """Somebody has it."""

    status = 423


@pytest.mark.parametrize(
    ("error", "tried"), [(later(Busy(), 3e7), 1), (later(Taken(), 20), 2), (Taken(), 1)]
)
def test_an_error_is_final_unless_it_says_to_come_back_soon(
    error: AutoBotError, tried: int
) -> None:
    async def scenario() -> None:
        lab = Lab(fail=failing(error, 1))
        await lab.submit(automation({"id": "a", "use": "fail"}))
        lab.start()
        await lab.reach("failed" if tried == 1 else "succeeded", within=60)
        assert sum(isinstance(entry, Started) for entry in lab.entries()) == tried

    run_virtually(scenario())


@virtually
async def test_a_run_is_kept_over_short_waits_and_its_journal_read_once() -> None:
    seen: set[str] = set()

    async def second(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        if key not in seen:
            seen.add(key)
            raise AutoBotError("no")

    lab = Lab(second=second)
    real, read = lab.runs.read, [0]

    async def counted(*args: Any) -> Any:
        page = await real(*args)
        read[0] += len(page)
        return page

    lab.runs.read = counted
    await lab.submit(automation({"id": "a", "use": "second", "for_each": list(range(100))}))
    lab.start()
    await lab.reach("succeeded")
    assert len(lab.entries()) > 400
    assert read[0] < 10


@virtually
async def test_nine_tenths_of_a_second_are_waited_for() -> None:
    lab = Lab()
    await lab.submit(automation({"id": "w", "use": "wait", "with": {"seconds": 0.9}}))
    lab.start()
    await lab.reach("succeeded")
    assert 0.9 <= elapsed() < 1.2


@virtually
async def test_questions_items_and_errors_of_expressions_are_masked_too() -> None:
    lab = Lab()
    ask = {"id": "ok", "use": "approve", "with": {"message": "hunter2?"}, "needs": []}
    each = act("each", for_each=["hunter2"], needs=[])
    wrong = act("wrong", needs=[], arguments={"output": "${{ 'hunter2' + 1 }}"})
    uses = act("uses", needs=[], arguments={"x": "${{ secrets.PASSWORD }}"})
    await lab.submit(automation(ask, each, wrong | {"on_error": "continue"}, uses))
    lab.start(secrets=await keeping(PASSWORD="hunter2"))
    await lab.reach("waiting")
    assert not [e for e in lab.runs.kept["r"].log if b"hunter2" in e.body]
    assert lab.state().items["each"] == ["***"]


@virtually
async def test_a_run_that_goes_on_from_a_step_has_the_large_results_before_it() -> None:
    lab = Lab(give=giving("x" * (LONGEST_INLINE + 1)), fail=failing(Invalid("no"), 1))
    use = {"id": "b", "use": "fail", "with": {"size": "${{ size(steps.a) }}"}}
    last = act("c", arguments={"output": "${{ size(steps.a) }}"})
    document = automation({"id": "a", "use": "give"}, use, last)
    await lab.submit(document)
    lab.start()
    await lab.reach("failed")
    kept = kept_before(document, lab.state(), "b", lab.entries())
    created = Created("version-of-r", retry_of="r")
    await lab.runs.create(new_run("again", "test", created, kept))
    await lab.reach("succeeded", run="again")
    assert lab.output("c", "again") == LONGEST_INLINE + 1
