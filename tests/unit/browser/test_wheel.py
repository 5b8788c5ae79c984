"""Who drives: the agent, or one person at a time."""

import asyncio

import pytest

from autobot.errors import Conflict
from deployments.browser import wheel
from deployments.browser.engine import WheelTaken
from deployments.browser.wheel import Wheel

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
