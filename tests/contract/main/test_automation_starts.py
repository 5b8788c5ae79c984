"""What starts a run besides a person and a clock: another run, an event, a delivery, a model."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from autobot.contracts.tools import ToolCall
from autobot.errors import Unavailable
from deployments.main.automation.events import STEADY_LOOKS
from deployments.main.automation.hooks import LONGEST_DELIVERY
from deployments.main.automation.starts import MOST_DEPTH
from tests.contract.main.automations import ECHO, WORD, Platform, platform, until
from tests.contract.main.conftest import redis_stack, server

__all__ = ["platform", "redis_stack", "server"]

CALL = {"id": "sub", "use": "call", "with": {"automation": "job", "inputs": {"word": "from above"}}}


async def has_runs(platform: Platform, name: str, many: int) -> bool:
    return len(await platform.runs_of(name)) >= many


# Calls.


async def test_a_step_calls_another_automation_and_has_its_results(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD)
    said = {"id": "said", "use": "test.echo", "with": {"it": "${{ steps.sub.steps.echo.text }}"}}
    await platform.publish(CALL, said, name="outer")
    started = await platform.call("POST", "/api/automations/outer/runs", 202, json={})
    outer = await platform.reach(started["id"], "succeeded")
    assert outer["steps"]["said"]["output"] == {"it": "from above"}
    (inner,) = await platform.runs_of("job")
    assert outer["steps"]["sub"]["output"]["run"] == inner["id"]
    shown = await platform.run(inner["id"])
    assert shown["trigger"] == {"name": "call", "run": started["id"]}


async def test_a_called_run_that_fails_fails_the_step_and_is_not_called_again(
    platform: Platform,
) -> None:
    await platform.publish({"id": "s", "use": "test.echo", "with": {"bad": True}})
    await platform.publish({**CALL, "with": {"automation": "job"}}, name="outer")
    started = await platform.call("POST", "/api/automations/outer/runs", 202, json={})
    outer = await platform.reach(started["id"], "failed")
    assert outer["error"]["type"] == "run-failed"
    assert "That cannot be." in outer["error"]["detail"]
    assert len(await platform.runs_of("job")) == 1


async def test_approve_in_a_called_automation_repeats_no_step(platform: Platform) -> None:
    """n8n PR#13168, langgraph#6792: after an answer, earlier steps ran again."""
    ask = {"id": "ok", "use": "approve", "with": {"message": "Go on?"}}
    await platform.publish(ECHO, ask, inputs=WORD)
    await platform.publish({"id": "first", "use": "test.echo"}, CALL, name="outer")
    started = await platform.call("POST", "/api/automations/outer/runs", 202, json={})
    await until(lambda: has_runs(platform, "job", 1))
    (inner,) = await platform.runs_of("job")
    await platform.reach(inner["id"], "waiting")
    await platform.reach(started["id"], "waiting")
    await platform.call("POST", f"/api/runs/{started['id']}/approvals/sub", 409, json={})
    path = f"/api/runs/{inner['id']}/approvals/ok"
    await platform.call("POST", path, 202, json={"approved": True})
    await platform.reach(started["id"], "succeeded")
    assert sorted(platform.rooms.effects.values()) == [1, 1]


async def test_a_cancelled_run_takes_what_it_called_with_it(platform: Platform) -> None:
    await platform.publish({"id": "s", "use": "test.wait"})
    await platform.publish({**CALL, "with": {"automation": "job"}}, name="outer")
    started = await platform.call("POST", "/api/automations/outer/runs", 202, json={})
    await platform.reach(started["id"], "waiting")
    (inner,) = await platform.runs_of("job")
    await platform.call("POST", f"/api/runs/{started['id']}/cancel", 202)
    await platform.reach(inner["id"], "cancelled")
    await platform.reach(started["id"], "cancelled")


async def test_automations_that_call_each_other_in_a_circle_are_refused(
    platform: Platform,
) -> None:
    await platform.publish({**CALL, "with": {"automation": "outer"}})
    document = {"name": "outer", "steps": [{**CALL, "with": {"automation": "job"}}]}
    problem = await platform.call("POST", "/api/automations", 422, json=document)
    assert "outer -> job -> outer" in problem["detail"]


async def test_what_runs_counts_for_circles_and_not_only_drafts(platform: Platform) -> None:
    await platform.publish({**CALL, "with": {"automation": "outer"}})
    draft = {"name": "job", "steps": [{"id": "s", "use": "test.echo"}]}
    await platform.call("PUT", "/api/automations/job?revision=1", json=draft)
    document = {"name": "outer", "steps": [{**CALL, "with": {"automation": "job"}}]}
    await platform.call("POST", "/api/automations", 422, json=document)


async def test_a_call_of_what_is_not_there_or_off_fails_at_once(platform: Platform) -> None:
    await platform.publish(CALL, name="outer")
    started = await platform.call("POST", "/api/automations/outer/runs", 202, json={})
    outer = await platform.reach(started["id"], "failed")
    assert outer["error"]["detail"] == "There is no automation 'job'."
    assert outer["steps"]["sub"]["attempts"] == 1


# Failures in a row.


async def test_so_many_failed_runs_in_a_row_turn_it_off_and_tell(platform: Platform) -> None:
    alarm = {"event": {"kind": "alert", "inputs": {"word": "${{ trigger.detail }}"}}}
    await platform.publish(ECHO, inputs=WORD, on=alarm, name="alarm")
    step = {"id": "s", "use": "test.echo", "with": {"bad": "${{ inputs.bad }}"}}
    inputs = {"bad": {"type": "boolean", "default": True}}
    await platform.publish(step, inputs=inputs, limits={"failures": 2})
    for bad in (True, False, True):
        await platform.start(bad=bad)
    assert (await platform.call("GET", "/api/automations/job"))["enabled"]
    last = await platform.start(bad=True)
    await until(lambda: has_runs(platform, "alarm", 1))
    job = await platform.call("GET", "/api/automations/job")
    assert not job["enabled"]
    assert job["reason"] == f"2 runs in a row failed, the last of them {last['id']}."
    (told,) = await platform.runs_of("alarm")
    assert job["reason"] in (await platform.run(told["id"]))["inputs"]["word"]
    on = await platform.call("POST", "/api/automations/job/enable", json={"enabled": True})
    assert on["reason"] is None
    await platform.start(bad=True)
    await asyncio.sleep(1.2)
    assert (await platform.call("GET", "/api/automations/job"))["enabled"], "counted anew"


# Events.


async def test_a_failed_run_starts_what_waits_for_it_once(platform: Platform) -> None:
    condition = "${{ trigger.automation == 'job' && trigger.error.type == 'invalid' }}"
    inputs = {"word": "${{ trigger.run }}"}
    event = {"kind": "run-failed", "if": condition, "inputs": inputs}
    await platform.publish(ECHO, inputs=WORD, on={"event": event}, name="alarm")
    other = {"kind": "run-failed", "if": "${{ trigger.automation == 'other' }}"}
    await platform.publish(ECHO, inputs=WORD, on={"event": other}, name="elsewhere")
    await platform.publish({"id": "s", "use": "test.echo", "with": {"bad": True}})
    failed = await platform.start()
    await until(lambda: has_runs(platform, "alarm", 1))
    run = await platform.runs.get(failed["id"])
    assert run is not None
    await platform.room.ends._follow_up(run)  # pyright: ignore[reportPrivateUsage]
    (told,) = await platform.runs_of("alarm")
    shown = await platform.reach(told["id"], "succeeded")
    assert shown["steps"]["echo"]["output"] == {"text": failed["id"]}
    assert not await platform.runs_of("elsewhere")


async def test_automations_that_start_each_other_by_failing_come_to_an_end(
    platform: Platform,
) -> None:
    """n8n#14807: an error workflow that fails started itself 20,000 times."""
    bad = {"id": "s", "use": "test.echo", "with": {"bad": True}}
    on = {"event": {"kind": "run-failed"}}
    for name in ("ping", "pong"):
        await platform.publish(bad, on=on, name=name, limits={"failures": 100})
    await platform.call("POST", "/api/automations/ping/runs", 202, json={})
    await until(lambda: has_runs(platform, "ping", MOST_DEPTH // 2 + 1))
    await asyncio.sleep(2)
    many = len(await platform.runs_of("ping")) + len(await platform.runs_of("pong"))
    assert many == MOST_DEPTH + 1


async def test_a_room_that_goes_down_and_comes_back_is_told_once_each(platform: Platform) -> None:
    for kind in ("room-down", "room-up"):
        values = {"word": "${{ trigger.room + ': ' + trigger.reason }}"}
        event = {"kind": kind, "if": "${{ trigger.room == 'npu' }}", "inputs": values}
        await platform.publish(ECHO, inputs=WORD, on={"event": event}, name=kind)
    watch, other = (
        platform.room.room_events,
        type(platform.room.room_events)(
            platform.room.starts.automations,
            platform.room.ends._events,  # pyright: ignore[reportPrivateUsage]
            lambda: platform.states,
        ),
    )
    levels = (("ok", None), ("down", "no power"), ("degraded", None), ("down", "again"))
    for state, reason in levels:
        platform.states = {"npu": (state, reason), "llm": (state, reason)}
        for _ in range(STEADY_LOOKS):
            await watch.turn()
            await other.turn()
    await until(lambda: has_runs(platform, "room-down", 2))
    down = [(await platform.run(r["id"]))["inputs"] for r in await platform.runs_of("room-down")]
    assert down == [{"word": "npu: no power"}, {"word": "npu: again"}]
    (up,) = await platform.runs_of("room-up")
    assert (await platform.run(up["id"]))["trigger"]["kind"] == "room-up"


# Deliveries.

HOOK = {"webhook": {"inputs": {"word": "${{ trigger.body.word }}"}}}


class Sender:
    """Signs as Standard Webhooks' own library does."""

    def __init__(self, platform: Platform, secret: str) -> None:
        self.platform, self.signed = platform, Webhook(secret)

    async def send(
        self, body: bytes = b'{"word": "hi"}', id_: str = "msg_1", at: datetime | None = None
    ) -> httpx.Response:
        at = at or datetime.now(UTC)
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self.signed.sign(id_, at, body.decode()),
            "authorization": "",
        }
        return await self.platform.http.post("/hooks/job", content=body, headers=headers)


async def sender(platform: Platform, **more: Any) -> Sender:
    await platform.publish(ECHO, inputs=WORD, on=HOOK, **more)
    made = await platform.call("POST", "/api/automations/job/hook", 201)
    assert made["path"] == "/hooks/job"
    return Sender(platform, made["secret"])


async def test_a_signed_delivery_starts_one_run_however_often_it_is_sent(
    platform: Platform,
) -> None:
    hook = await sender(platform)
    answers = await asyncio.gather(*(hook.send() for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    run = await platform.reach(answers[0].json()["id"], "succeeded")
    assert run["steps"]["echo"]["output"] == {"text": "hi"}
    assert run["trigger"]["id"] == "msg_1"
    assert (await hook.send(id_="msg_2")).json()["id"] != run["id"]


async def test_what_is_not_signed_as_it_must_be_starts_nothing(platform: Platform) -> None:
    hook = await sender(platform)
    late = datetime.now(UTC) - timedelta(minutes=6)
    early = datetime.now(UTC) + timedelta(minutes=6)
    other = Sender(platform, "whsec_" + "QQ" * 16)
    answers = [
        await platform.http.post("/hooks/job", json={"word": "x"}),
        await hook.send(at=late),
        await hook.send(at=early),
        await other.send(),
    ]
    for signature in ("v1,", "v1", "v2,AAAA", "", "v1,ä"):
        headers = {
            "webhook-id": "m",
            "webhook-timestamp": str(int(datetime.now(UTC).timestamp())),
            "webhook-signature": signature.encode(),
        }
        content = b"{}"
        answers.append(await platform.http.post("/hooks/job", content=content, headers=headers))
    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert not await platform.runs_of("job")
    made = await platform.call("POST", "/api/automations/job/hook", 201)
    assert (await hook.send()).status_code == 401, "the secret before counts no more"
    assert (await Sender(platform, made["secret"]).send()).status_code == 202


async def test_a_hook_that_is_not_there_or_off_is_not_found(platform: Platform) -> None:
    hook = await sender(platform)
    await platform.call("POST", "/api/automations/job/enable", json={"enabled": False})
    assert (await hook.send()).status_code == 404
    assert (await platform.http.post("/hooks/none", json={})).status_code == 404


async def test_a_delivery_too_large_or_no_text_is_refused(platform: Platform) -> None:
    hook = await sender(platform)
    assert (await hook.send(b"x" * (LONGEST_DELIVERY + 1))).status_code == 413
    assert (await platform.http.post("/hooks/job", content=b"\xff")).status_code == 400
    for name in ("No-Slug", "x" * 5_000, "a%00b"):
        assert (await platform.http.post(f"/hooks/{name}", content=b"{}")).status_code == 404
    no_number = await hook.send(b'{"word": NaN}', "m")
    assert no_number.status_code == 422, "it is a text, which has no word"
    wrong = await hook.send(b"[1]")
    assert wrong.status_code == 422, "trigger.body has no word"
    assert not await platform.runs_of("job")


async def test_a_delivery_while_the_store_is_away_is_refused_and_its_retry_is_one_run(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vexa#520: deliveries were acknowledged and lost."""
    hook = await sender(platform)

    async def away(*_: Any) -> Any:
        raise Unavailable("Redis does not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(platform.runs, "create", away)
        assert (await hook.send()).status_code == 503
    assert (await hook.send()).status_code == 202
    assert len(await platform.runs_of("job")) == 1


async def test_of_a_storm_of_deliveries_each_is_one_run_or_refused(platform: Platform) -> None:
    hook = await sender(platform, mode="parallel", limits={"parallel": 50})
    sent: dict[str, set[int]] = {f"m{n}": set() for n in range(300)}

    async def deliver(id_: str) -> None:
        for _ in range(200):  # as senders do: until it is taken
            body = json.dumps({"word": id_}).encode()
            status = (await hook.send(body, id_)).status_code
            sent[id_].add(status)
            if status == 202:
                return
            await asyncio.sleep(0.1)

    await asyncio.gather(*map(deliver, sent))
    assert all(202 in statuses for statuses in sent.values())
    assert set().union(*sent.values()) <= {202, 429}

    async def all_done() -> bool:
        runs = await platform.runs.list("job", "succeeded", limit=1_000)
        return len(runs) == len(sent)

    await until(all_done)
    texts = [call.arguments["text"] for call in platform.rooms.calls]
    assert sorted(texts) == sorted(sent), "none lost, none twice"


# Models.


async def test_an_automation_is_a_tool_for_models(platform: Platform) -> None:
    await platform.publish(ECHO, inputs=WORD, on={"mcp": {"description": "Says a word."}})
    await platform.registry.refresh()
    (info,) = [one for one in await platform.registry.tools() if one.name == "automation.job"]
    assert info.description == "Says a word."
    assert info.arguments["properties"]["word"]["type"] == "string"
    assert info.scopes == ("automation",)
    call = ToolCall("automation.job", {"word": "hi"}, platform.record, 20, "once")
    results = [await platform.registry.run(call) for _ in range(2)]
    assert results[0]["steps"] == {"echo": {"text": "hi"}}
    assert results[0]["state"] == "succeeded"
    assert results[0]["run"] == results[1]["run"]
    await platform.room.kinds.refresh()
    assert "automation.job" not in platform.room.kinds.infos, "steps call automations"


async def test_a_tool_that_takes_longer_than_its_caller_goes_on(platform: Platform) -> None:
    on = {"mcp": {"description": "Waits."}}
    await platform.publish({"id": "s", "use": "test.wait"}, on=on)
    await platform.registry.refresh()
    call = ToolCall("automation.job", {}, platform.record, 1, "once")
    result = await platform.registry.run(call)
    assert (result["state"], result["steps"]) == ("running", {})
    platform.rooms.gate.set()
    await platform.reach(result["run"], "succeeded")
