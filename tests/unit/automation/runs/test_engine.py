"""What peers' users suffered, and what an engine does about it, in made time."""

import asyncio
from typing import Any

import pytest

from autobot.automation.runs.journal import Created, Failed, Started, new_run
from autobot.automation.runs.retries import kept_before
from autobot.automation.runs.worker import PUT_BACK_MS
from autobot.contracts.runs import LONGEST_BLOB, LONGEST_INLINE
from autobot.errors import AutoBotError, Busy, Invalid
from tests.unit.automation.runs.lab import Lab
from tests.unit.automation.runs.tools import Tools, act, approve, automation, failing, keeping
from tests.unit.automation.runs.virtual import elapsed, run_virtually, virtually


@virtually
async def test_a_worker_that_dies_mid_step_leaves_no_run_running() -> None:
    """activepieces#14372: within 60 s it is no longer `running`."""
    lab = Lab()
    await lab.submit(automation(act("a", 40, on_unknown="ask")))
    lab.start()
    await lab.reach("running")
    await lab.kill()
    lab.start()
    killed = elapsed()
    await lab.reach("waiting", within=60)
    assert elapsed() - killed < 35
    assert lab.ran == {}
    assert await lab.answer("a", "done") == "ok"
    await lab.reach("succeeded")
    assert lab.ran == {}


@virtually
async def test_a_run_whose_worker_died_can_be_cancelled() -> None:
    """activepieces#14372: cancel says ok and the run is `cancelled`."""
    lab = Lab()
    await lab.submit(automation(act("a", 40)))
    lab.start()
    await lab.reach("running")
    await lab.kill()
    assert await lab.ask("cancel") == "ok"
    lab.start()
    await lab.reach("cancelled", within=60)
    assert lab.ran == {}


@virtually
async def test_a_running_step_is_told_that_it_is_cancelled() -> None:
    seen: list[float] = []

    async def polite(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        await cancel.wait()
        seen.append(elapsed())
        return "as far as it came"

    lab = Lab(polite=polite)
    await lab.submit(automation({"id": "a", "use": "polite", "timeout": 3_600}, act("b")))
    lab.start()
    await lab.reach("running")
    asked = elapsed()
    await lab.ask("cancel")
    await lab.reach("cancelled", within=5)
    assert seen[0] - asked <= 1.6
    assert lab.output("a") == "as far as it came"
    assert lab.ran == {}


@virtually
async def test_a_step_that_does_not_heed_a_cancel_is_left_behind() -> None:
    async def deaf(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        while True:
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                if elapsed() > 1_000:
                    raise

    lab = Lab(deaf=deaf)
    await lab.submit(automation({"id": "a", "use": "deaf", "timeout": 3_600}))
    lab.start()
    await lab.reach("running")
    await lab.ask("cancel")
    await lab.reach("cancelled", within=15)
    await asyncio.sleep(1_000)


@virtually
async def test_a_step_that_never_returns_fails_when_its_time_is_over() -> None:
    lab = Lab()
    await lab.submit(automation(act("a", 10**6, timeout="5m", retry={"attempts": 1})))
    lab.start()
    await lab.reach("failed", within=312)
    error = lab.state().places["a", None].error
    assert error is not None
    assert error["type"] == "timeout"


@virtually
async def test_successes_stay_successes_through_restarts() -> None:
    """n8n#23807: 100 successes, 5 restarts, 100 `succeeded`."""
    lab = Lab()
    lab.start()
    for number in range(100):
        await lab.submit(automation(act("a", 1)), f"r{number}")
    for restart in range(5):
        await asyncio.sleep(1.3)
        await (lab.kill() if restart % 2 else lab.stop())
        lab.start()
    for number in range(100):
        await lab.reach("succeeded", run=f"r{number}", within=120)
    assert len(await lab.runs.list(state="succeeded")) == 100


@virtually
async def test_two_recoverers_run_each_body_once() -> None:
    """dbos-transact-py#742."""
    lab = Lab()
    for number in range(30):
        await lab.submit(automation(act("a", 3), act("b", 3)), f"r{number}")
    lab.start()
    lab.start()
    for number in range(30):
        await lab.reach("succeeded", run=f"r{number}", within=60)
    assert set(lab.ran.values()) == {1}
    assert len(lab.ran) == 60


@virtually
async def test_a_step_of_45_minutes_under_a_lease_of_30_seconds_is_begun_once() -> None:
    """taskiq-redis#101."""
    lab = Lab()
    await lab.submit(automation(act("a", 45 * 60, timeout="1h")))
    lab.start()
    lab.start()
    await lab.reach("succeeded", within=46 * 60)
    assert sum(isinstance(entry, Started) for entry in lab.entries()) == 1
    assert lab.ran == {"r/a": 1}


@virtually
async def test_an_old_worker_leaves_a_tool_it_does_not_know_to_a_new_one() -> None:
    """docket#437: the run is not lost and nothing is written into its journal."""
    lab = Lab()
    await lab.submit(automation({"id": "a", "use": "brand_new"}))
    lab.start()
    await asyncio.sleep(120)
    assert len(lab.entries()) == 1
    assert lab.runs.kept["r"].state == "queued"

    async def brand_new(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        return 1

    lab.start(Tools(brand_new=brand_new))
    await lab.reach("succeeded", within=10 * PUT_BACK_MS / 1000)


@virtually
async def test_an_old_worker_leaves_a_journal_it_does_not_know_to_a_new_one() -> None:
    lab = Lab()
    await lab.submit(automation(act("a")))
    await lab.runs.ask("r", "x", b'{"kind":"of another age","step":"a"}')
    lab.start()
    await asyncio.sleep(60)
    assert [entry.kind for entry in lab.entries()] == ["created", "unknown"]
    assert lab.ran == {}


@virtually
async def test_a_wait_of_ten_minutes_survives_a_restart_at_five() -> None:
    """home-assistant/core#128797: it goes on at 10 min, give or take 2 s."""
    lab = Lab()
    await lab.submit(automation({"id": "w", "use": "wait", "with": {"seconds": 600}}, act("a")))
    lab.start()
    await asyncio.sleep(300)
    await lab.kill()
    await asyncio.sleep(20)
    lab.start()
    await lab.reach("succeeded")
    assert abs(elapsed() - 600) < 2


@virtually
async def test_an_approval_after_a_restart_repeats_no_earlier_step() -> None:
    """n8n PR#13168, langgraph#6792."""
    lab = Lab()
    send = act("send", arguments={"output": "${{ steps.ok }}"})
    await lab.submit(automation(act("a"), approve("ok"), send))
    lab.start()
    await lab.reach("waiting")
    await lab.kill()
    lab.start()
    assert await lab.answer("ok", "approve") == "ok"
    await lab.reach("succeeded")
    assert lab.ran == {"r/a": 1, "r/send": 1}
    assert lab.output("send") == {"approved": True, "by": "ann"}


@virtually
async def test_a_run_waits_until_the_approvals_of_both_branches_are_decided() -> None:
    """windmill#2639."""
    lab = Lab()
    join = act("join", needs=["one", "two"])
    await lab.submit(automation(approve("one", needs=[]), approve("two", needs=[]), join))
    lab.start()
    await lab.reach("waiting")
    await lab.answer("two", "approve")
    await asyncio.sleep(60)
    assert (await lab.reach("waiting")).state == "waiting"
    assert lab.ran == {}
    await lab.answer("one", "reject")
    await lab.reach("succeeded")
    assert lab.ran == {"r/join": 1}


@virtually
async def test_an_approval_that_nobody_gives_is_a_no_when_its_time_is_over() -> None:
    lab = Lab()
    step = {"id": "ok", "use": "approve", "with": {"message": "?", "timeout": "2h"}}
    await lab.submit(automation(step, act("a", **{"if": "${{ steps.ok.approved }}"})))
    lab.start(poll_s=10)
    await asyncio.sleep(7_190)
    await lab.reach("waiting", within=1)
    await lab.reach("succeeded", within=30)
    assert lab.output("ok") == {"approved": False, "by": None}
    assert lab.statuses()["a"] == "skipped"


@virtually
async def test_a_run_that_waits_outlives_retention() -> None:
    """activepieces PR#15301: waiting 40 days, retention 30: the journal is whole."""
    lab = Lab()
    steps = [act("a"), {"id": "w", "use": "wait", "with": {"seconds": "20d"}}]
    steps += [{"id": "w2", "use": "wait", "with": {"seconds": "20d"}}, act("b")]
    await lab.submit(automation(*steps))
    lab.start(poll_s=3_600)
    for _ in range(39):
        await asyncio.sleep(86_400)
        assert await lab.runs.prune() == 0
    await asyncio.sleep(86_400 + 7_200)
    await lab.reach("succeeded", within=1)
    assert lab.ran == {"r/a": 1, "r/b": 1}


@virtually
async def test_20_mb_are_too_large_and_the_handler_runs() -> None:
    """n8n#21746."""

    async def big(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        return "x" * 20_000_000

    lab = Lab(big=big)
    large = {"id": "a", "use": "big", "on_error": "tell"}
    tell = act("tell", arguments={"output": "${{ steps.a.error.type }}"})
    await lab.submit(automation(large, act("b"), tell))
    lab.start()
    await lab.reach("succeeded")
    assert lab.output("tell") == "too-large"
    assert lab.statuses() == {"a": "failed", "tell": "succeeded", "b": "skipped"}
    assert sum(isinstance(entry, Started) for entry in lab.entries()) == 2, "it is not tried again"


@virtually
async def test_a_large_result_is_kept_beside_the_journal_and_used_after_a_restart() -> None:
    text = "ä" * LONGEST_INLINE
    assert len(text) * 6 < LONGEST_BLOB

    async def big(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        return {"text": text}

    lab = Lab(big=big)
    end = act("b", arguments={"output": "${{ size(steps.a.text) }}"})
    await lab.submit(automation({"id": "a", "use": "big"}, approve("ok"), end))
    lab.start()
    await lab.reach("waiting")
    assert max(len(entry.body) for entry in lab.runs.kept["r"].log) < 1_000
    await lab.kill()
    lab.start()
    await lab.answer("ok", "approve")
    await lab.reach("succeeded")
    assert lab.output("b") == LONGEST_INLINE


@pytest.mark.parametrize("odd", [None, [], {}, "\x00", "\ud800", "\U0001f600", 0, False, ""])
def test_odd_outputs_are_kept_verbatim(odd: Any) -> None:
    """hatchet#2573."""

    async def scenario() -> None:
        async def give(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
            return odd

        lab = Lab(give=give)
        await lab.submit(automation({"id": "a", "use": "give"}, act("b")))
        lab.start()
        await lab.reach("succeeded")
        assert lab.output("a") == odd
        assert type(lab.output("a")) is type(odd)

    run_virtually(scenario())


@pytest.mark.parametrize("odd", [float("nan"), {1, 2}, b"x", {"a": object()}])
def test_what_is_no_json_fails_the_step_and_not_the_engine(odd: Any) -> None:
    async def scenario() -> None:
        async def give(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
            return odd

        lab = Lab(give=give)
        await lab.submit(automation({"id": "a", "use": "give"}))
        lab.start()
        await lab.reach("failed")

    run_virtually(scenario())


@virtually
async def test_no_items_end_the_run_and_the_rest_is_skipped() -> None:
    """n8n#21364: a filter that leaves nothing."""
    lab = Lab()
    some = act("some", arguments={"output": [1, 2]})
    each = act("each", for_each="${{ steps.some.filter(n, n > 5) }}")
    await lab.submit(automation(some, each, act("rest")))
    lab.start()
    await lab.reach("succeeded")
    assert lab.statuses() == {"some": "succeeded", "each": "skipped", "rest": "skipped"}


@virtually
async def test_a_loop_runs_so_many_at_once_and_keeps_their_order() -> None:
    now = most = 0

    async def count(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(10 - arguments["n"])
        now -= 1
        return arguments["n"]

    lab = Lab(count=count)
    each = {"id": "each", "use": "count", "with": {"n": "${{ item }}"}}
    each["for_each"] = {"items": list(range(10)), "parallel": 3}
    last = act("last", arguments={"output": "${{ steps.each }}"})
    await lab.submit(automation(each, last))
    lab.start()
    await lab.reach("succeeded")
    assert most == 3
    assert lab.output("last") == list(range(10))


@virtually
async def test_more_items_than_the_limit_are_named_before_the_first_runs() -> None:
    lab = Lab()
    some = act("some", arguments={"output": list(range(50))})
    each = act("each", for_each="${{ steps.some }}")
    await lab.submit(automation(some, each, limits={"items": 49}))
    lab.start()
    await lab.reach("failed")
    assert lab.ran == {"r/some": 1}
    ended = lab.state().ended
    assert ended is not None
    assert ended.error is not None
    assert "49" in str(ended.error["detail"])


@virtually
async def test_a_failed_step_is_tried_again_after_a_wait_that_doubles() -> None:
    lab = Lab(fail=failing(AutoBotError("no"), 2))
    retry = {"attempts": 3, "wait": 10}
    await lab.submit(automation({"id": "a", "use": "fail", "retry": retry}))
    lab.start()
    await lab.reach("succeeded")
    assert 29 < elapsed() < 33


@virtually
async def test_retry_after_is_obeyed() -> None:
    error = Busy("later")
    error.retry_after = 90  # pyright: ignore[reportAttributeAccessIssue]
    lab = Lab(fail=failing(error, 1))
    await lab.submit(automation({"id": "a", "use": "fail"}))
    lab.start()
    await lab.reach("succeeded")
    assert 90 <= elapsed() < 93


@virtually
async def test_what_would_fail_again_is_final() -> None:
    lab = Lab(fail=failing(Invalid("bad"), 1))
    await lab.submit(automation({"id": "a", "use": "fail"}))
    lab.start()
    await lab.reach("failed")
    assert [e.retry_at for e in lab.entries() if isinstance(e, Failed)] == [None]


@virtually
async def test_a_failed_run_ends_with_its_handler() -> None:
    lab = Lab(fail=failing(Invalid("bad"), 1))
    steps = [{"id": "a", "use": "fail"}, act("b"), act("tell")]
    steps[2]["with"] = {"output": "${{ error.step }}"}
    await lab.submit(automation(*steps, on_error="tell"))
    lab.start()
    await lab.reach("failed")
    assert lab.output("tell") == "a"
    assert lab.ran == {"r/tell": 1}


@virtually
async def test_a_tolerated_error_can_be_read_by_what_follows() -> None:
    lab = Lab(fail=failing(Invalid("bad"), 1))
    follow = act("b", arguments={"output": "${{ steps.a.error.detail }}"})
    await lab.submit(automation({"id": "a", "use": "fail", "on_error": "continue"}, follow))
    lab.start()
    await lab.reach("succeeded")
    assert lab.output("b") == "bad"


@virtually
async def test_a_handler_is_skipped_when_nothing_failed() -> None:
    lab = Lab()
    await lab.submit(automation(act("a", on_error="h"), act("b"), act("h")))
    lab.start()
    await lab.reach("succeeded")
    assert lab.statuses() == {"a": "succeeded", "b": "succeeded", "h": "skipped"}


@virtually
async def test_a_false_condition_skips_its_step_and_those_that_name_it() -> None:
    lab = Lab()
    steps = [act("a", **{"if": False}), act("b"), act("c", needs=["a"])]
    await lab.submit(automation(*steps))
    lab.start()
    await lab.reach("succeeded")
    assert lab.statuses() == {"a": "skipped", "b": "succeeded", "c": "skipped"}


@virtually
async def test_branches_run_at_once() -> None:
    lab = Lab()
    join = act("join", needs=["a", "b"])
    await lab.submit(automation(act("a", 60, needs=[]), act("b", 60, needs=[]), join))
    lab.start()
    await lab.reach("succeeded")
    assert 60 <= elapsed() < 62


@virtually
async def test_a_paused_run_begins_nothing_until_it_is_resumed() -> None:
    lab = Lab()
    await lab.submit(automation(act("a", 10), act("b")))
    lab.start()
    await lab.reach("running")
    await lab.ask("pause")
    await lab.reach("paused", within=15)
    assert lab.ran == {"r/a": 1}
    await asyncio.sleep(600)
    assert lab.ran == {"r/a": 1}
    await lab.ask("resume")
    await lab.reach("succeeded", within=5)
    assert lab.ran == {"r/a": 1, "r/b": 1}


@virtually
async def test_results_are_held_while_the_store_is_away_and_nothing_begins() -> None:
    lab = Lab()
    await lab.submit(automation(act("a", 10), act("b")))
    lab.start()
    await lab.reach("running")
    lab.runs.away = True
    await asyncio.sleep(300)
    assert lab.ran == {"r/a": 1}
    lab.runs.away = False
    await lab.reach("succeeded", within=5)
    assert lab.ran == {"r/a": 1, "r/b": 1}
    assert sum(isinstance(entry, Started) for entry in lab.entries()) == 2


@virtually
async def test_an_engine_that_stops_gives_its_runs_back_at_once() -> None:
    lab = Lab()
    await lab.submit(automation(act("short", 5), act("next")), "short")
    await lab.submit(automation(act("long", 500, on_unknown="retry")), "long")
    await lab.submit(automation(approve("ok")), "waits")
    lab.start()
    await asyncio.sleep(2)
    started = elapsed()
    await lab.stop()
    assert 19 < elapsed() - started < 22
    assert lab.ran == {"short/short": 1}
    lab.start()
    await lab.reach("succeeded", run="short", within=2)
    await lab.reach("succeeded", run="long", within=505)
    assert lab.ran == {"short/short": 1, "short/next": 1, "long/long": 1}


@virtually
async def test_a_step_that_kills_its_worker_is_not_tried_for_ever() -> None:
    lab = Lab()
    await lab.submit(automation(act("a", 40, on_unknown="retry")))
    for _ in range(14):
        lab.start()
        await asyncio.sleep(35)
        if lab.runs.kept["r"].state == "failed":
            break
        await lab.kill()
    assert lab.runs.kept["r"].state == "failed"
    assert sum(isinstance(entry, Started) for entry in lab.entries()) == 11


@virtually
async def test_secrets_are_masked_before_anything_is_written() -> None:
    async def leak(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        if arguments:
            raise Invalid("it was hunter2")
        return {"text": "hunter2"}

    lab = Lab(leak=leak)
    given = {"x": "${{ secrets.PASSWORD }}"}
    steps = [{"id": "a", "use": "leak"}, {"id": "b", "use": "leak", "with": given}]
    await lab.submit(automation(*steps))
    lab.start(secrets=await keeping(PASSWORD="hunter2"))
    await lab.reach("failed")
    assert not [e for e in lab.runs.kept["r"].log if b"hunter2" in e.body]
    assert lab.output("a") == {"text": "***"}


@virtually
async def test_a_run_that_goes_on_from_a_step_keeps_what_was_recorded_before_it() -> None:
    lab = Lab(fail=failing(Invalid("bad"), 1))
    use = {"id": "b", "use": "fail", "needs": ["a"]}
    document = automation(act("a"), act("aside", needs=[]), use, act("c", needs=["b"]))
    await lab.submit(document)
    with pytest.raises(Invalid, match="not ended"):
        kept_before(document, lab.state(), "b", lab.entries())
    lab.start()
    await lab.reach("failed")
    with pytest.raises(Invalid, match="no step"):
        kept_before(document, lab.state(), "none", lab.entries())
    kept = kept_before(document, lab.state(), "b", lab.entries())
    created = Created("version-of-r", retry_of="r")
    assert await lab.runs.create(new_run("again", "test", created, kept)) == "ok"
    await lab.reach("succeeded", run="again")
    assert lab.ran == {"r/a": 1, "r/aside": 1, "again/c": 1}
