"""Tasks over HTTP: whose they are, how they end, what is streamed, and people in between."""

import asyncio
import base64
import json
import os
import signal
from typing import Any

import httpx
import pytest

from deployments.browser.chromium.service import ChromiumBrowser
from tests.contract.browser.agent.conftest import KEY, NO_LLM_KEY, PRICE, Person
from tests.contract.browser.agent.scripted import reply_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

WAIT = reply_of("wait")


async def events(ann: Person, task: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
    headers = {**ann.headers, "last-event-id": str(after)}
    path = f"/api/browser/tasks/{task['id']}/events"
    answer = await ann.http.get(path, headers=headers, timeout=60)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = []
    for block in answer.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "id" in lines:
            told.append(
                {**json.loads(lines["data"]), "id": int(lines["id"]), "event": lines["event"]}
            )
    return told


def says(text: str) -> list[dict[str, Any]]:
    return [reply_of("done", text=text)]


async def test_each_step_is_streamed_with_a_picture_and_the_stream_resumes(ann: Person) -> None:
    ann.script.others["watch"] = [reply_of("click", ref="=Shop"), *says("Honey")]
    task = await ann.give("watch")
    told = await events(ann, task)
    assert [event["event"] for event in told] == ["start", "step", "step", "end"]
    assert [event["id"] for event in told] == [1, 2, 3, 4]
    step = told[1]
    assert (step["did"], step["outcome"]) == ('click link "Shop"', "done")
    assert step["thought"] == "the script says click"
    assert step["url"] == ann.home + "/"
    assert base64.b64decode(step["thumbnail"]).startswith(b"\xff\xd8")
    assert len(step["thumbnail"]) < 40_000
    assert told[-1]["state"] == "done"
    assert [event["id"] for event in await events(ann, task, after=2)] == [3, 4]
    seen = await ann.see(task)
    assert seen["pages"] == [ann.home + "/", ann.home + "/shop"]
    assert seen["usage"]["requests"] == 4, "of each page: is the answer there, and what to do"
    assert seen["usage"]["tokens"] > 0


async def test_a_streamed_post_is_the_tasks_events(ann: Person) -> None:
    ann.script.others["stream"] = says("yes")
    answer = await ann.post("/tasks", goal="stream", start_url=ann.home, stream=True)
    assert answer.status_code == 201
    assert answer.text.count("event: ") == 3
    assert '"state": "done"' in answer.text.rpartition("event: end")[2]


async def test_the_model_is_asked_with_the_callers_own_key(ann: Person) -> None:
    ann.script.keys.clear()
    ann.script.others["key"] = says("yes")
    await ann.have("key")
    assert ann.script.keys == {f"Bearer {KEY}"}


async def test_output_is_valid_under_the_schema_after_a_retry(ann: Person) -> None:
    ann.script.others["typed"] = says("6.80")
    ann.script.outputs = [{"price": "six"}, {"price": 6.8}]
    task = await ann.have("typed", "/shop", schema=PRICE)
    assert (task["state"], task["output"]) == ("done", {"price": 6.8})
    assert "not valid" in ann.script.asked[-1]


async def test_a_task_whose_output_stays_invalid_fails_whole(ann: Person) -> None:
    ann.script.others["typed"] = says("6.80")
    ann.script.outputs = [{"price": "six"}, {"price": "seven"}]
    task = await ann.have("typed", "/shop", schema=PRICE)
    assert (task["state"], task["output"], task["result"]) == ("failed", None, None)
    assert task["error"]["type"] == "model-failed"
    assert "price" in task["error"]["detail"]


async def test_every_limit_ends_a_task_and_is_named(ann: Person) -> None:
    ann.script.others["turn"] = [reply_of("click", ref="=Shop")]
    for limit, value in (("steps", 2), ("tokens", 500), ("seconds", 3)):
        ann.script.slow_s = 2.0 if limit == "seconds" else 0.0
        task = await ann.have("turn", limits={limit: value})
        assert (task["state"], task["limit"]) == ("limit", limit), task
    assert (await ann.ask("GET", "/sessions")).json()["sessions"] == []


async def test_outside_the_domains_is_refused_told_and_at_last_a_limit(ann: Person) -> None:
    ann.script.others["away"] = [reply_of("click", ref="=Outside")]
    task = await ann.have("away", "/away", limits={"domains": ["127.0.0.1"]})
    assert (task["state"], task["limit"]) == ("limit", "domains"), task
    assert "allow list" in task["steps"][0]["outcome"]
    assert "allow list" in ann.script.asked[1]
    assert task["steps"][1]["url"] == ann.home + "/away"
    assert not [page for page in task["pages"] if "localhost" in page]
    task = await ann.have("away", limits={"domains": ["example.com"]})
    assert (task["state"], task["limit"]) == ("limit", "domains")


async def test_a_blocked_start_fails_with_the_reason(ann: Person) -> None:
    answer = await ann.ask(
        "POST", "/tasks?wait=60", json={"goal": "x", "start_url": "http://169.254.169.254/"}
    )
    assert answer.json()["state"] == "failed"
    assert answer.json()["error"]["type"] == "blocked-address"


async def test_an_action_without_effect_is_told_and_not_done_for_ever(ann: Person) -> None:
    ann.script.others["circle"] = [WAIT]
    task = await ann.have("circle", limits={"steps": 4})
    assert "three times" in ann.script.asked[3]
    assert task["steps"][3]["outcome"].startswith("not done again")


async def test_a_question_waits_for_the_persons_answer(ann: Person) -> None:
    ann.script.others["ask"] = [reply_of("ask", text="Which size?"), *says("ok")]
    task = await ann.give("ask")
    seen = await ann.until(task, lambda seen: seen["state"] == "waiting")
    assert seen["question"] == "Which size?"
    assert (await ann.post(f"/tasks/{task['id']}/answer", answer="Large")).status_code == 204
    assert (await ann.end_of(task))["steps"][0]["outcome"] == "the person said: Large"
    assert "The person said: Large" in ann.script.asked[1]
    late = await ann.post(f"/tasks/{task['id']}/answer", answer="Small")
    assert (late.status_code, late.json()["type"]) == (409, "urn:autobot:problem:conflict")


async def test_a_question_nobody_answers_does_not_wait_for_ever(ann: Person) -> None:
    ann.script.others["ask"] = [reply_of("ask", text="Anyone?"), *says("alone")]
    task = await ann.have("ask", limits={"answer_s": 1})
    assert task["steps"][0]["outcome"].startswith("the person did not answer")
    assert task["result"] == "alone"


async def test_the_agent_waits_while_a_person_has_the_wheel_and_looks_anew(ann: Person) -> None:
    ann.script.others["wheel"] = [WAIT, WAIT, reply_of("click", ref="=Shop"), *says("after")]
    ann.script.slow_s = 0.5
    task = await ann.give("wheel")
    wheel = ann.running(task).record.wheel
    wheel.take("a person")
    await until_events(ann, task, "paused")
    asked = len(ann.script.asked)
    await asyncio.sleep(1.5)
    assert len(ann.script.asked) == asked
    wheel.release("a person")
    seen = await ann.end_of(task)
    assert seen["state"] == "done"
    assert "A person has driven" in ann.script.asked[asked]
    assert "resumed" in [event["event"] for event in await events(ann, task)]


async def until_events(ann: Person, task: dict[str, Any], kind: str) -> None:
    it = ann.running(task)
    for _ in range(600):
        if kind in [event.kind for event in it.events]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no event '{kind}' in 30 s")


async def test_a_cancelled_task_ends_its_session_and_says_so(ann: Person) -> None:
    ann.script.others["long"] = [WAIT]
    task = await ann.give("long")
    assert (await ann.ask("DELETE", f"/tasks/{task['id']}")).status_code == 204
    assert (await ann.see(task))["state"] == "cancelled"
    assert (await events(ann, task))[-1]["event"] == "end"
    gone = await ann.ask("GET", f"/sessions/{task['session']}")
    assert gone.status_code == 410


async def test_a_task_fails_clearly_when_its_session_is_closed(ann: Person) -> None:
    ann.script.others["closed"] = [WAIT]
    task = await ann.give("closed")
    await until_events(ann, task, "step")
    assert (await ann.ask("DELETE", f"/sessions/{task['session']}")).status_code == 204
    seen = await ann.end_of(task)
    assert (seen["state"], seen["error"]["type"]) == ("failed", "session-ended")


async def test_a_killed_chromium_fails_the_task_and_the_next_one_works(ann: Person) -> None:
    ann.script.others["killed"] = [WAIT]
    task = await ann.give("killed")
    await until_events(ann, task, "step")
    browser = ann.served.room.browser
    assert isinstance(browser, ChromiumBrowser)
    for pid in (await (await browser.restarter.get()).processes())["browser"]:
        os.kill(pid, signal.SIGKILL)
    seen = await ann.end_of(task)
    assert (seen["state"], seen["error"]["type"]) == ("failed", "session-ended")
    ann.script.others["again"] = says("alive")
    assert (await ann.have("again"))["result"] == "alive"


async def test_an_unavailable_model_fails_the_task_in_its_own_words(ann: Person) -> None:
    ann.script.status = 400
    task = await ann.have("whatever")
    assert (task["state"], task["error"]["type"]) == ("failed", "bad-request")
    assert "no model today" in task["error"]["detail"]


async def test_tasks_belong_to_their_key_and_need_both_scopes(
    ann: Person, people: dict[str, Person]
) -> None:
    ann.script.others["mine"] = says("mine")
    task = await ann.have("mine")
    bo = people["bo"]
    assert (await bo.ask("GET", "/tasks")).json() == {"tasks": [], "unreachable": []}
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        assert (await bo.ask(method, f"/tasks/{task['id']}{path}")).status_code == 404
    refused = await people["no-llm"].post("/tasks", goal="x", start_url=ann.home)
    assert refused.status_code == 403
    assert "'llm'" in refused.json()["detail"]
    assert NO_LLM_KEY not in refused.text


async def test_more_tasks_than_places_are_429_with_retry_after(ann: Person) -> None:
    ann.script.others["long"] = [WAIT]
    running = [await ann.give("long") for _ in range(2)]
    full = await ann.post("/tasks", goal="long", start_url=ann.home)
    assert full.status_code == 429
    assert int(full.headers["retry-after"]) >= 1
    for task in running:
        await ann.ask("DELETE", f"/tasks/{task['id']}")
    ann.script.others["again"] = says("there is a place")
    assert (await ann.have("again"))["state"] == "done"


async def test_bad_requests_are_refused_before_anything_opens(ann: Person) -> None:
    async def post(**body: Any) -> httpx.Response:
        return await ann.post("/tasks", **{"goal": "x", "start_url": ann.home, **body})

    for body in (
        {"goal": ""},
        {"schema": {"type": "array"}},
        {"schema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
        {"schema": {"type": "object", "properties": {"a": {"$ref": "http://example.com/"}}}},
        {"limits": {"steps": 101}},
        {"limits": {"domains": ["a b"]}},
    ):
        answer = await post(**body)
        assert answer.status_code == 422, body
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await ann.ask("GET", "/sessions")).json()["sessions"] == []
