"""Sessions over HTTP with Chromium behind them: whose they are, what binds them, how they end."""

import asyncio
import time

import pytest

from tests.contract.browser.callers import Caller, Sitting
from tests.contract.browser.site import Trap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def test_another_keys_session_does_not_exist(
    callers: tuple[Caller, Caller], sitting: Sitting
) -> None:
    _, other = callers
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/content"),
        ("GET", "/storage"),
        ("GET", "/downloads/0"),
        ("GET", "/recordings/trace"),
    ):
        answer = await other.ask(method, sitting.path + path, json={})
        assert answer.status_code == 404, (method, path)
    assert (await other.ask("GET", "/sessions")).json()["sessions"] == []
    assert (await sitting.state())["id"] == sitting.id


async def test_a_session_is_what_was_asked_for(caller: Caller) -> None:
    session = await caller.open(
        width=500, height=400, locale="de-DE", timezone="Asia/Tokyo", user_agent="Robot/1"
    )
    asked = "[innerWidth, navigator.language, navigator.userAgent, new Date(0).getHours()]"
    await session.goto("/")
    value = (await session.do("evaluate", expression=asked))["value"]
    assert value == [500, "de-DE", "Robot/1", 9]
    await session.close()


async def test_a_blocked_address_is_named_and_never_loads(sitting: Sitting, trap: Trap) -> None:
    away = f"http://127.0.0.1:{trap.port}/"
    answer = await sitting.answer("goto", url=away)
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("blocked-address")
    assert "127.0.0.1 is a loopback address" in answer.json()["detail"]
    await sitting.goto("/")
    script = f"document.body.innerHTML = '<a href={away}>away</a>'"
    await sitting.do("evaluate", expression=script)
    clicked = await sitting.answer("click", role="link", label="away")
    assert clicked.status_code == 403, clicked.text
    assert any(str(trap.port) in reason for reason in (await sitting.state())["blocked"])
    assert trap.tcp == 0
    await sitting.goto("/form")


async def test_a_session_keeps_to_its_lists_of_domains(caller: Caller) -> None:
    session = await caller.open(allow=["example.com"])
    answer = await session.answer("goto", url=caller.home)
    assert answer.status_code == 403
    assert "not on the allow list" in answer.text
    await session.close()
    session = await caller.open(deny=["127.0.0.1"])
    answer = await session.answer("goto", url=caller.home)
    assert "on the deny list" in answer.text
    await session.close()


async def test_sessions_end_by_idleness_and_by_age_and_say_so(caller: Caller) -> None:
    idle, old = await caller.open(idle_s=1), await caller.open(lifetime_s=2)
    kept = await caller.open(idle_s=1)
    extended = await caller.ask("PATCH", kept.path, json={"idle_s": 60, "lifetime_s": 100})
    assert extended.json()["idle_s"] == 60
    await asyncio.sleep(3.2)
    for session, why in ((idle, "idle for 1 s"), (old, "lifetime is over")):
        answer = await session.answer("content")
        assert (answer.status_code, answer.json()["type"]) == (
            410,
            "urn:autobot:problem:session-ended",
        )
        assert why in answer.text
    await kept.close()


async def test_a_full_room_queues_and_then_says_when_to_come_again(caller: Caller) -> None:
    many = [await caller.open() for _ in range(6)]
    answer = await caller.post("/sessions", queue_s=0.3)
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    assert "This API key has 6 browser sessions" in answer.text
    waiting = asyncio.ensure_future(caller.open(queue_s=10))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await many.pop().close()
    many.append(await waiting)
    for session in many:
        await session.close()


async def test_actions_of_one_session_take_turns(sitting: Sitting) -> None:
    await sitting.goto("/")
    slow = asyncio.ensure_future(sitting.do("wait", seconds=1))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await sitting.do("content")
    assert time.monotonic() - began > 0.5
    impatient = asyncio.ensure_future(sitting.do("wait", seconds=2))
    await asyncio.sleep(0.2)
    assert (await sitting.answer("content", timeout_s=0.5)).status_code == 409
    await asyncio.gather(slow, impatient)


async def test_a_key_that_holds_all_it_may_leaves_a_session_to_another_key(
    callers: tuple[Caller, Caller],
) -> None:
    greedy, other = callers
    held = [await greedy.open() for _ in range(6)]
    assert (await greedy.post("/sessions", queue_s=0)).status_code == 429
    theirs = await other.open(queue_s=0)
    await theirs.goto("/")
    for session in (*held, theirs):
        await session.close()
