"""Automations over HTTP: saved, published, started, answered; on the fake store and on Redis."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from autobot.contracts.tools import JsonObject, ToolCall
from autobot.errors import Invalid, Unavailable
from autobot.keys import NewKey, make_key
from deployments.main.automation import api
from tests.contract.main.automations import ECHO, WORD, Platform, platform, until
from tests.contract.main.conftest import redis_stack, server

__all__ = ["platform", "redis_stack", "server"]


async def test_a_published_automation_runs_and_its_journal_tells(platform: Platform) -> None:
    shout = {"id": "again", "use": "test.echo", "with": {"all": "${{ steps.echo.text + '!' }}"}}
    await platform.publish(ECHO, shout, inputs=WORD)
    started = await platform.start(word="hi")
    assert started["state"] == "succeeded"
    run = await platform.run(started["id"])
    assert run["steps"]["again"]["output"] == {"all": "hi!"}
    assert run["trigger"] == {"name": "manual", "by": platform.record.id}
    answer = await platform.http.get(f"/api/runs/{started['id']}/events?follow=false")
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    assert [int(lines[0].removeprefix("id: ")) for lines in events] == [*range(1, len(events) + 1)]
    assert events[0][1] == "event: created"
    assert events[-1][1] == "event: ended"
    later = await platform.http.get(
        f"/api/runs/{started['id']}/events", headers={"last-event-id": str(len(events) - 1)}
    )
    assert later.text.count("event: ") == 1


async def test_steps_act_with_the_scopes_they_need_and_no_others(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD)
    await platform.start()
    caller = platform.rooms.calls[0].caller
    assert caller.scopes == ("npu",)
    assert caller.id != platform.record.id
    assert caller.name == "automation job"
    assert platform.rooms.calls[0].idempotency_key


async def test_who_lacks_a_scope_cannot_publish_what_needs_it(platform: Platform) -> None:
    document = {"name": "job", "steps": [{"id": "s", "use": "test.secret"}]}
    await platform.call("POST", "/api/automations", 201, json=document)
    problem = await platform.call("POST", "/api/automations/job/publish", 403, json={})
    assert "'llm'" in problem["detail"]


async def test_a_revoked_key_of_an_automation_stops_it(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD)
    (own,) = [one for one in await platform.keys.records() if one.id != platform.record.id]
    await platform.keys.revoke(own.id)
    await platform.ring.refresh()
    started = await platform.start()
    assert started["state"] == "failed"
    assert "revoked" in (await platform.run(started["id"]))["error"]["detail"]


async def test_every_mistake_is_told_with_its_place(platform: Platform) -> None:
    steps = "- id: a\n  use: test.none\n- id: a\n  use: test.echo\n"
    text = f"name: job\non:\n  file: {{folder: a}}\nsteps:\n{steps}"
    headers = {"content-type": "application/yaml"}
    problem = await platform.call("POST", "/api/automations", 422, content=text, headers=headers)
    assert problem["type"].endswith("invalid-automation")
    for place in ("3:9: on.file", "6:8: steps[0].use", "7:7: steps[1].id"):
        assert place in problem["detail"], problem["detail"]


async def test_a_stale_edit_is_refused_and_loses_nothing(platform: Platform) -> None:
    document = {"name": "job", "steps": [ECHO], "inputs": WORD}
    kept = await platform.call("POST", "/api/automations", 201, json=document)
    await platform.call("POST", "/api/automations", 409, json=document | {"mode": "single"})
    path = f"/api/automations/job?revision={kept['revision']}"
    newer = await platform.call("PUT", path, json=document | {"mode": "parallel"})
    assert newer["revision"] == kept["revision"] + 1
    await platform.call("PUT", path, 409, json=document | {"mode": "single"})
    assert (await platform.call("GET", "/api/automations/job"))["mode"] == "parallel"


async def test_what_is_shown_of_it_is_what_runs(platform: Platform) -> None:
    kept = await platform.publish(ECHO, inputs=WORD, on=EVERY_MINUTE)
    draft = {"name": "job", "steps": [ECHO], "inputs": WORD, "on": {"manual": {}}}
    path = f"/api/automations/job?revision={kept['revision']}"
    shown = await platform.call("PUT", path, json=draft)
    assert (shown["triggers"], shown["published"]) == (["schedule"], False)
    assert len(shown["next"]) == 5
    assert shown["document"]["on"] == {"manual": {}}


async def test_a_draft_that_this_program_cannot_read_hides_no_other(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD)
    await platform.room.starts.automations.save("old", "name: old\nsteps: 7\n", "x", None)
    shown = {one["id"]: one for one in await platform.call("GET", "/api/automations")}
    assert shown["job"]["mistake"] is None
    assert "steps" in shown["old"]["mistake"]
    assert (await platform.call("GET", "/api/automations/old"))["draft"] == "name: old\nsteps: 7\n"
    await platform.call("POST", "/api/automations/old/publish", 422, json={})


async def test_the_stream_of_a_run_that_waits_is_kept_open(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "KEEP_ALIVE_S", 0.5)
    await platform.publish({"id": "ok", "use": "approve", "with": {"message": "?"}})
    started = await platform.start(wait=0)
    await platform.reach(started["id"], "waiting")
    events = api._events(platform.room.starts, started["id"], 0, True)  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(10):
        async for event in events:
            if event.startswith(b": "):
                break
    await events.aclose()


async def test_every_tool_is_listed_with_its_schemas(platform: Platform) -> None:
    tools = {one["name"]: one for one in await platform.call("GET", "/api/tools")}
    assert tools.keys() >= {"test.echo", "test.wait", "test.secret"}
    assert tools["test.secret"]["scopes"] == ["llm"]
    assert tools["test.echo"]["arguments"] == {"type": "object"}


async def test_after_publishing_a_change_every_run_is_of_the_new_version(
    platform: Platform,
) -> None:
    first = await platform.publish(ECHO, inputs=WORD)
    changed = {"name": "job", "steps": [ECHO], "inputs": {"word": {**WORD["word"], "default": "2"}}}
    path = f"/api/automations/job?revision={first['revision']}"
    draft = await platform.call("PUT", path, json=changed)
    assert not draft["published"]
    assert (await platform.run((await platform.start())["id"]))["version"] == first["version"]
    second = await platform.call("POST", "/api/automations/job/publish", json={})
    run = await platform.run((await platform.start())["id"])
    assert run["version"] == second["version"] != first["version"]
    assert run["inputs"] == {"word": "2"}


async def test_a_run_under_way_keeps_its_key_while_a_change_is_published(
    platform: Platform,
) -> None:
    ask = {"id": "ok", "use": "approve", "with": {"message": "Go on?"}}
    await platform.publish(ask, ECHO, inputs=WORD)
    started = await platform.start(wait=0)
    await platform.reach(started["id"], "waiting")
    changed = {"name": "job", "steps": [ask], "inputs": WORD}
    await platform.call("PUT", "/api/automations/job?revision=1", json=changed)
    await platform.call("POST", "/api/automations/job/publish", json={})
    await platform.ring.refresh()
    await _has_keys(platform, 2)
    path = f"/api/runs/{started['id']}/approvals/ok"
    await platform.call("POST", path, 202, json={"approved": True})
    run = await platform.reach(started["id"], "succeeded")
    assert run["steps"]["echo"]["output"] == {"text": "hello"}
    await until(lambda: _has_keys(platform, 1))
    await platform.call("POST", f"/api/runs/{started['id']}/retry", 409)


async def _has_keys(platform: Platform, many: int) -> bool:
    names = [one.name for one in await platform.keys.records()]
    return names.count("automation job") == many


async def test_publishing_a_draft_that_was_changed_meanwhile_is_refused(
    platform: Platform,
) -> None:
    await platform.publish(ECHO, inputs=WORD)
    await platform.call("POST", "/api/automations/job/publish", 409, json={"revision": 7})
    assert await _has_keys(platform, 1)


async def test_a_deletion_that_was_interrupted_can_be_done_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await platform.publish({"id": "s", "use": "test.wait"})
    started = await platform.start(wait=0)
    await platform.reach(started["id"], "running")

    async def away(*_: Any) -> Any:
        raise Unavailable("Room redis does not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(platform.keys, "revoke", away)
        await platform.call("DELETE", "/api/automations/job", 503)
    await platform.call("DELETE", "/api/automations/job", 204)
    await platform.reach(started["id"], "cancelled")
    assert await _has_keys(platform, 0)


async def test_half_a_letter_in_a_result_is_shown(platform: Platform) -> None:
    steps = {"id": "s", "use": "test.half"}
    await platform.publish(steps)
    started = await platform.start()
    shown = await platform.run(started["id"])
    assert shown["steps"]["s"]["output"] == {"half": "\ud800"}
    headers = {"last-event-id": "-5"}
    path = f"/api/runs/{started['id']}/events"
    await platform.call("GET", path, 422, headers=headers)


async def test_an_approval_waits_for_a_person_and_says_who(platform: Platform) -> None:
    ask = {"id": "ok", "use": "approve", "with": {"message": "Send it?"}}
    await platform.publish(ask, {**ECHO, "if": "${{ steps.ok.approved }}"}, inputs=WORD)
    started = await platform.start(wait=0)
    run = await platform.reach(started["id"], "waiting")
    assert run["steps"]["ok"]["waits_for"] == "approval"
    path = f"/api/runs/{started['id']}/approvals/ok"
    await platform.call("POST", path, 409, json={"outcome": "done"})
    await platform.call("POST", path, 202, json={"approved": True})
    run = await platform.reach(started["id"], "succeeded")
    assert run["steps"]["ok"]["output"] == {"approved": True, "by": platform.record.id}
    await platform.call("POST", path, 409, json={"approved": False})


async def test_a_cancelled_run_ends_and_its_step_is_called_off(platform: Platform) -> None:
    await platform.publish({"id": "s", "use": "test.wait"})
    started = await platform.start(wait=0)
    await platform.reach(started["id"], "running")
    await platform.call("POST", f"/api/runs/{started['id']}/cancel", 202)
    await platform.reach(started["id"], "cancelled")
    await platform.call("POST", f"/api/runs/{started['id']}/cancel", 202)
    await platform.call("POST", f"/api/runs/{started['id']}/pause", 409)
    assert not platform.rooms.effects


async def test_a_step_whose_room_is_away_is_tried_again(platform: Platform) -> None:
    platform.rooms.fails = 1
    await platform.publish({**ECHO, "retry": {"attempts": 2, "wait": 1}}, inputs=WORD)
    started = await platform.start()
    run = await platform.run(started["id"])
    assert (run["state"], run["steps"]["echo"]["attempts"]) == ("succeeded", 2)


async def test_what_is_wrong_for_good_is_tried_once(platform: Platform) -> None:
    await platform.publish({"id": "s", "use": "test.echo", "with": {"bad": True}})
    started = await platform.start()
    run = await platform.run(started["id"])
    assert (run["state"], run["steps"]["s"]["attempts"]) == ("failed", 1)
    assert run["error"] == {"step": "s", "type": "invalid", "detail": "That cannot be."}


async def test_a_failed_run_goes_on_from_the_step_that_failed(platform: Platform) -> None:
    second = {"id": "second", "use": "test.echo", "with": {"n": 2}}
    await platform.publish(ECHO, {**second, "retry": {"attempts": 1}}, inputs=WORD)
    run_before = platform.rooms.run

    async def run(call: ToolCall) -> JsonObject:
        if call.arguments.get("n"):
            raise Invalid("Not today.")
        return await run_before(call)

    platform.rooms.run = run  # type: ignore[method-assign]
    failed = await platform.start(word="once")
    assert failed["state"] == "failed"
    platform.rooms.run = run_before  # type: ignore[method-assign]
    path = f"/api/runs/{failed['id']}/retry"
    await platform.call("POST", f"{path}?from=nowhere", 422)
    again = await platform.call("POST", f"{path}?from=second", 202)
    done = await platform.reach(again["id"], "succeeded")
    assert done["steps"]["echo"]["output"] == {"text": "once"}
    assert sorted(platform.rooms.effects.values()) == [1, 1], "echo was not done again"
    await platform.call("POST", f"/api/runs/{again['id']}/retry?from=second", 202)


async def test_the_same_idempotency_key_is_the_same_run(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD)
    headers = {"idempotency-key": "order 7"}
    path = "/api/automations/job/runs?wait=20"
    ids = {
        (await platform.call("POST", path, 202, json={}, headers=headers))["id"] for _ in range(3)
    }
    assert len(ids) == 1
    assert sum(platform.rooms.effects.values()) == 1


async def test_in_mode_queued_one_run_is_under_way_and_the_others_follow(
    platform: Platform,
) -> None:
    await platform.publish({"id": "s", "use": "test.wait"})
    ids = [(await platform.start(wait=0))["id"] for _ in range(3)]
    await platform.reach(ids[0], "running")
    assert [(await platform.run(one))["state"] for one in ids] == ["running", "queued", "queued"]
    platform.rooms.gate.set()
    for one in ids:
        await platform.reach(one, "succeeded")
    assert set(platform.rooms.effects.values()) == {1}


async def test_in_mode_single_a_second_run_is_refused(platform: Platform) -> None:
    await platform.publish({"id": "s", "use": "test.wait"}, mode="single")
    await platform.start(wait=0)
    await platform.call("POST", "/api/automations/job/runs", 409, json={})


async def test_in_mode_restart_a_new_run_ends_the_one_before(platform: Platform) -> None:
    await platform.publish({"id": "s", "use": "test.wait"}, mode="restart")
    first = await platform.start(wait=0)
    await platform.reach(first["id"], "running")
    second = await platform.start(wait=0)
    await platform.reach(first["id"], "cancelled")
    platform.rooms.gate.set()
    await platform.reach(second["id"], "succeeded")


async def test_in_mode_parallel_as_many_run_at_once_as_are_allowed(platform: Platform) -> None:
    limits = {"parallel": 2}
    await platform.publish({"id": "s", "use": "test.wait"}, mode="parallel", limits=limits)
    ids = [(await platform.start(wait=0))["id"] for _ in range(3)]
    await platform.reach(ids[1], "running")
    assert (await platform.run(ids[2]))["state"] == "queued"
    platform.rooms.gate.set()
    await platform.reach(ids[2], "succeeded")


async def test_switching_off_starts_none_of_those_in_line(platform: Platform) -> None:
    await platform.publish({"id": "s", "use": "test.wait"})
    ids = [(await platform.start(wait=0))["id"] for _ in range(5)]
    await platform.reach(ids[0], "running")
    await platform.call("POST", "/api/automations/job/enable", json={"enabled": False})
    for one in ids[1:]:
        await platform.reach(one, "cancelled")
    platform.rooms.gate.set()
    await platform.reach(ids[0], "succeeded")
    assert len(platform.rooms.calls) == 1
    await platform.call("POST", "/api/automations/job/runs", 409, json={})


async def test_the_queue_has_an_end(platform: Platform) -> None:
    await platform.publish({"id": "s", "use": "test.wait"}, limits={"queue": 2})
    for _ in range(3):
        await platform.start(wait=0)
    await platform.call("POST", "/api/automations/job/runs", 429, json={})


EVERY_MINUTE = {"schedule": {"cron": "* * * * *", "timezone": "Europe/Riga"}}


async def test_a_due_schedule_starts_one_run_however_many_look(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD, on=EVERY_MINUTE)
    minute = datetime.now(UTC).timestamp() // 60 * 60
    await platform.runs.schedule("job:schedule", round(minute * 1000))
    at = datetime.fromtimestamp(minute + 1, UTC)
    await asyncio.gather(*(platform.room.scheduler.tick(at) for _ in range(5)))
    (run,) = await platform.runs.list("job")
    shown = await platform.reach(run.id, "succeeded")
    assert shown["trigger"] == {"name": "schedule", "at": round(minute * 1000)}


async def test_saving_and_publishing_again_does_not_fire_twice(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD, on=EVERY_MINUTE)
    for _ in range(5):
        await platform.call("POST", "/api/automations/job/publish", json={})
    keys = [one.name for one in await platform.keys.records()]
    assert keys.count("automation job") == 1
    minute = round(datetime.now(UTC).timestamp() // 60 * 60 * 1000)
    await platform.runs.schedule("job:schedule", minute)
    await until(lambda: _has_runs(platform, 1))
    assert len(await platform.runs.list("job")) == 1


async def test_an_automation_that_is_off_or_gone_does_not_fire(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD, on=EVERY_MINUTE)
    await platform.call("POST", "/api/automations/job/enable", json={"enabled": False})
    minute = round(datetime.now(UTC).timestamp() // 60 * 60 * 1000)
    await platform.runs.schedule("job:schedule", minute)
    await platform.room.scheduler.tick(datetime.now(UTC))
    assert not await platform.runs.list("job")
    await platform.call("DELETE", "/api/automations/job", 204)
    await platform.call("GET", "/api/automations/job", 404)
    keys = [one.name for one in await platform.keys.records()]
    assert "automation job" not in keys


async def _has_runs(platform: Platform, many: int) -> bool:
    return len(await platform.runs.list("job")) >= many


async def test_another_scope_does_not_open_automations(platform: Platform) -> None:
    key, record = make_key(NewKey(name="other", scopes=("npu",)))
    await platform.keys.add(record)
    await platform.ring.refresh()
    headers = {"authorization": f"Bearer {key}"}
    for path in ("/api/automations", "/api/runs", "/api/runs/x"):
        assert (await platform.http.get(path, headers=headers)).status_code == 403
