"""Who drives: the agent, or one person at a time."""

import asyncio

import pytest

from autobot.errors import Busy, Conflict
from deployments.browser.actions import Content
from deployments.browser.chromium.isolation.memory import Meter
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Policy
from deployments.browser.engine import SessionSpec
from deployments.browser.errors import WheelTaken
from deployments.browser.fake import FakeBrowser, FakeSession
from deployments.browser.pages.schemas import Limits, NewSession
from deployments.browser.sessions import wheel
from deployments.browser.sessions.service import MOST_QUEUED, Record, Sessions
from deployments.browser.sessions.wheel import Wheel

pytestmark = pytest.mark.timeout(20)


async def test_an_agent_waits_for_the_wheel_and_goes_on_when_it_is_free() -> None:
    it = Wheel()
    await it.free(0)
    it.take("ann")
    waiting = asyncio.ensure_future(it.free(5))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    it.release("bo")
    await asyncio.sleep(0.05)
    assert not waiting.done()
    it.release("ann")
    await asyncio.wait_for(waiting, 0.5)


async def test_an_agents_patience_ends() -> None:
    it = Wheel()
    it.take("ann")
    with pytest.raises(WheelTaken):
        await it.free(0.05)


async def test_only_the_holder_may_act_and_nobody_takes_it_away() -> None:
    it = Wheel()
    it.take("ann")
    it.take("ann")
    with pytest.raises(Conflict):
        it.take("bo")
    assert (it.touch("ann"), it.touch("bo")) == (True, False)


async def test_a_person_who_does_nothing_has_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "HANDS_OFF_S", 0.05)
    it = Wheel()
    it.take("ann")
    await it.free(5)
    assert not it.touch("ann")
    it.take("bo")


async def test_driving_is_use_and_a_session_is_not_idle_as_soon_as_a_person_lets_go() -> None:
    session = FakeSession(Connector(Policy()), SessionSpec(), asyncio.Event())
    record = Record("s", "ann", session, Limits(idle_s=1, lifetime_s=60))
    record.used -= 100
    assert record.over() == "it was idle for 1 s"
    record.wheel.take("ann")
    record.wheel.release("ann")
    assert record.over() is None
    record.wheel.touched -= 100
    assert record.over() == "it was idle for 1 s"


async def test_actions_that_wait_for_one_session_are_bounded() -> None:
    sessions = Sessions(FakeBrowser(Connector(Policy())), "here", Meter(1 << 40, lambda: 0), 4)
    record = await sessions.open("ann", NewSession())
    record.wheel.take("person")
    waiting = [
        asyncio.ensure_future(sessions.act("ann", record.id, Content())) for _ in range(MOST_QUEUED)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match=f"{MOST_QUEUED} actions"):
        await sessions.act("ann", record.id, Content())
    record.wheel.release("person")
    await asyncio.gather(*waiting)
    await sessions.act("ann", record.id, Content())
    await sessions.close()
