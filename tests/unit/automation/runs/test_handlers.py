"""What runs after an error, what is left undone, and that no run stays for ever."""

import asyncio
from typing import Any

import pytest

from autobot.automation.runs.interpreter import Interpreter
from autobot.automation.runs.journal import (
    Created,
    Ended,
    Expanded,
    Failed,
    Skipped,
    Started,
    Succeeded,
    Waiting,
    decode,
    new_run,
)
from autobot.automation.runs.retries import kept_before
from autobot.automation.runs.state import RunState
from autobot.automation.runs.walk import MOST_AT_ONCE
from autobot.errors import Invalid
from tests.unit.automation.runs.lab import Lab
from tests.unit.automation.runs.tools import act, automation, failing
from tests.unit.automation.runs.virtual import virtually

FAIL = {"id": "a", "use": "fail"}


def broken_lab(times: int = 1_000) -> Lab:
    return Lab(fail=failing(Invalid("no"), times))


@virtually
async def test_a_handler_that_needs_what_never_began_is_left_out_and_the_run_ends() -> None:
    lab = broken_lab()
    await lab.submit(automation(FAIL, act("c"), act("tell", needs=["c"]), on_error="tell"))
    lab.start()
    await lab.reach("failed", within=5)
    assert lab.statuses() == {"a": "failed", "tell": "skipped"}


@virtually
async def test_what_follows_a_handler_and_needs_what_never_began_is_left_out() -> None:
    lab = broken_lab()
    join = act("x", needs=["tell", "c"])
    await lab.submit(automation(FAIL, act("c"), act("tell"), join, on_error="tell"))
    lab.start()
    await lab.reach("failed", within=5)
    assert lab.statuses() == {"a": "failed", "tell": "succeeded", "x": "skipped"}


def test_a_run_that_nothing_can_move_ends() -> None:
    state = RunState("r")
    document = automation(act("a"))
    interpreter = Interpreter(document)
    interpreter.needs["a"] = frozenset({"nothing"})
    state.apply(Created("v"))
    (end,) = interpreter.decide(state, 0).entries
    assert isinstance(end, Ended)
    assert end.error is not None
    assert end.error["type"] == "stuck"


@virtually
async def test_a_handler_that_its_own_condition_leaves_out_handles_nothing() -> None:
    lab = broken_lab()
    handler = act("h", **{"if": "${{ steps.a.error.type == 'timeout' }}"})
    await lab.submit(automation(FAIL | {"on_error": "h"}, act("b"), handler))
    lab.start()
    await lab.reach("failed", within=5)
    assert lab.statuses()["h"] == "skipped"
    ended = lab.state().ended
    assert ended is not None
    assert ended.error == {"step": "a", "type": "invalid", "detail": "no"}


@virtually
async def test_the_handler_tells_of_the_second_failure_too() -> None:
    lab = broken_lab()
    document = automation(act("first"), FAIL, act("tell"), on_error="tell")
    await lab.submit(document)
    lab.start()
    await lab.reach("failed")
    kept = kept_before(document, lab.state(), "a", lab.entries())
    created = Created("version-of-r", retry_of="r")
    await lab.runs.create(new_run("again", "test", created, kept))
    await lab.reach("failed", run="again")
    assert lab.ran == {"r/first": 1, "r/tell": 1, "again/tell": 1}


@virtually
async def test_an_attempt_whose_worker_vanished_has_a_result_when_its_run_fails() -> None:
    async def fail(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        await asyncio.sleep(60)
        raise Invalid("no")

    lab = Lab(fail=fail)
    post = act("post", 100, needs=[], on_unknown="ask")
    tell = act("tell", arguments={"output": "${{ steps.post.error.type }}"})
    broken = FAIL | {"needs": [], "on_unknown": "retry"}
    await lab.submit(automation(post, broken, tell, on_error="tell"))
    lab.start()
    await asyncio.sleep(5)
    await lab.kill()
    lab.start()
    await lab.reach("failed", within=300)
    assert lab.statuses() == {"a": "failed", "post": "failed", "tell": "succeeded"}
    assert lab.output("tell") == "unknown"


@virtually
async def test_an_item_whose_worker_vanished_has_a_result_when_another_fails() -> None:
    async def some(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        await asyncio.sleep(100 if arguments["n"] else 3)
        if not arguments["n"]:
            raise Invalid("no")

    lab = Lab(some=some)
    each: dict[str, Any] = {"id": "e", "use": "some", "on_unknown": "retry", "on_error": "h"}
    each |= {"with": {"n": "${{ item }}"}, "for_each": {"items": [0, 1], "parallel": 2}}
    await lab.submit(automation(each, act("h")))
    lab.start()
    await asyncio.sleep(5)
    await lab.kill()
    lab.start()
    await lab.reach("succeeded", within=300)
    assert {place: of.status for place, of in lab.state().places.items()} == {
        ("e", 0): "failed",
        ("e", 1): "failed",
        ("h", None): "succeeded",
    }
    assert sum(isinstance(entry, Started) for entry in lab.entries()) == 3


@virtually
async def test_an_attempt_whose_worker_vanished_has_a_result_when_its_run_is_cancelled() -> None:
    lab = Lab()
    await lab.submit(automation(act("a", 40, on_unknown="ask")))
    lab.start()
    await lab.reach("running")
    await lab.kill()
    await lab.ask("cancel")
    lab.start()
    await lab.reach("cancelled", within=60)
    assert lab.statuses() == {"a": "failed"}


@virtually
async def test_the_condition_of_a_loop_that_reads_the_item_is_asked_for_each() -> None:
    lab = Lab()
    each = act("e", for_each=[1, 2, 3], arguments={"output": "${{ item }}"})
    last = act("last", arguments={"output": "${{ steps.e }}"})
    await lab.submit(automation(each | {"if": "${{ item != 2 }}"}, last))
    lab.start()
    await lab.reach("succeeded", within=5)
    assert lab.output("last") == [1, None, 3]
    assert lab.ran == {"r/e/0": 1, "r/e/2": 1, "r/last": 1}


@virtually
async def test_the_condition_of_a_loop_that_reads_no_item_is_asked_once() -> None:
    lab = Lab()
    each = act("e", for_each="${{ steps.none.list }}", **{"if": "${{ 1 > 2 }}"})
    await lab.submit(automation(each))
    lab.start()
    await lab.reach("succeeded", within=5)
    assert [entry for entry in lab.entries() if isinstance(entry, Skipped)] == [Skipped("e")]


def test_the_first_error_is_the_first_of_the_journal() -> None:
    names = ("alpha", "beta", "gamma")
    tell = act("tell", arguments={"step": "${{ error.step }}"})
    join = act("join", needs=list(names))
    document = automation(join, *(act(n, needs=[]) for n in names), tell, on_error="tell")
    interpreter, state = Interpreter(document), RunState("r")
    state.apply(Created("v"))
    for name in ("gamma", "beta"):
        state.apply(Started(name))
        state.apply(Failed(name, error={"type": "x", "detail": "y"}))
    assert [step.id for step in interpreter.order] == [*names, "tell", "join"]
    assert interpreter.decide(state, 0).starts[0].arguments == {"seconds": 0, "step": "gamma"}


def test_so_many_expressions_are_evaluated_at_once_and_no_more() -> None:
    document = automation(*(act(f"s{n}", needs=[]) for n in range(20)))
    state = RunState("r")
    state.apply(Created("v"))
    decision = Interpreter(document).decide(state, 0)
    assert (len(decision.entries), decision.more) == (MOST_AT_ONCE, True)


@virtually
async def test_twenty_branches_run_at_once_all_the_same() -> None:
    lab = Lab()
    await lab.submit(automation(*(act(f"s{n}", 60, needs=[]) for n in range(20))))
    lab.start()
    await lab.reach("succeeded", within=62)


def test_a_journal_that_its_last_result_fills_is_a_success() -> None:
    state = RunState("r")
    document = automation(act("e", for_each=list(range(50))), limits={"journal": 102})
    for entry in (Created("v"), Expanded("e", items=list(range(50)))):
        state.apply(entry)
    for number in range(50):
        state.apply(Started("e", number))
        state.apply(Succeeded("e", number))
    assert state.seq == 102
    assert Interpreter(document).decide(state, 0).state == "succeeded"


def test_the_handler_tells_of_a_full_journal() -> None:
    state = RunState("r")
    tell = act("tell", arguments={"type": "${{ error.type }}"})
    document = automation(act("a"), act("b"), tell, on_error="tell", limits={"journal": 100})
    state.apply(Created("v"))
    while state.seq < 100:
        state.apply(Started("a"))
    state.apply(Succeeded("a"))
    (start,) = Interpreter(document).decide(state, 0).starts
    assert (start.entry.step, start.arguments) == ("tell", {"seconds": 0, "type": "journal-full"})


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"asked","what":"restart"}',
        b'{"kind":"asked","what":["cancel"]}',
        b'{"kind":"waiting","step":"a","on":"call","until":5}',
        b'{"kind":"answered","step":"a","answer":"perhaps"}',
    ],
)
def test_a_value_that_this_program_does_not_know_is_foreign(body: bytes) -> None:
    assert decode(body).kind == "unknown"
    assert decode(b'{"kind":"waiting","step":"a","on":"approval"}') == Waiting("a", on="approval")


@virtually
async def test_what_is_read_of_a_step_that_was_left_out_is_not_there() -> None:
    lab = Lab()
    asks = act("b", arguments={"output": "${{ has(steps.a.text) ? 'there' : 'left out' }}"})
    reads = act("c", on_error="continue", arguments={"output": "${{ steps.a.text }}"})
    await lab.submit(automation(act("a", **{"if": False}), asks, reads))
    lab.start()
    await lab.reach("succeeded")
    assert lab.output("b") == "left out"
    assert lab.statuses()["c"] == "failed"
