"""Places for sessions: how many, in which order, and what memory has to say."""

import asyncio

import pytest

from autobot.errors import Busy
from deployments.browser.lobby import MAX_WAITING_EACH, Lobby
from deployments.browser.memory import PER_SESSION, Meter

pytestmark = pytest.mark.timeout(20)


def of(most: int, max_waiting: int = 64) -> Lobby:
    return Lobby(lambda inside: inside < most, max_waiting)


async def test_keys_take_turns_however_many_each_waits_for() -> None:
    lobby = of(1)
    await lobby.enter("first", 1)
    order: list[str] = []

    async def come(owner: str) -> None:
        await lobby.enter(owner, 5)
        order.append(owner)
        lobby.leave()

    waiting = [asyncio.ensure_future(come(owner)) for owner in ("a", "a", "a", "b", "c")]
    await asyncio.sleep(0)
    assert lobby.waiting == 5
    lobby.leave()
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c", "a", "a"]
    assert (lobby.inside, lobby.waiting) == (0, 0)


async def test_nobody_overtakes_the_line() -> None:
    lobby = of(1)
    await lobby.enter("a", 1)
    waiting = asyncio.ensure_future(lobby.enter("b", 5))
    await asyncio.sleep(0)
    lobby.leave()
    with pytest.raises(Busy):
        await lobby.enter("c", 0)
    await waiting
    assert lobby.inside == 1


async def test_a_wait_in_vain_and_a_full_line_are_busy() -> None:
    lobby = of(0, max_waiting=2)
    with pytest.raises(Busy, match=r"within 0\.05 s"):
        await lobby.enter("a", 0.05)
    lines = [asyncio.ensure_future(lobby.enter(owner, 1)) for owner in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="no place"):
        await lobby.enter("c", 5)
    for line in lines:
        line.cancel()
    await asyncio.gather(*lines, return_exceptions=True)
    assert lobby.waiting == 0


async def test_one_key_cannot_fill_the_line() -> None:
    lobby = of(0)
    lines = [asyncio.ensure_future(lobby.enter("a", 5)) for _ in range(MAX_WAITING_EACH)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await lobby.enter("a", 5)
    other = asyncio.ensure_future(lobby.enter("b", 5))
    await asyncio.sleep(0)
    assert lobby.waiting == MAX_WAITING_EACH + 1
    for line in [*lines, other]:
        line.cancel()
    await asyncio.gather(*lines, other, return_exceptions=True)


async def test_giving_up_at_the_moment_of_being_let_in_loses_no_place() -> None:
    lobby = of(1)
    await lobby.enter("a", 1)
    waiting = asyncio.ensure_future(lobby.enter("b", 5))
    await asyncio.sleep(0)
    lobby.leave()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert lobby.inside == 0
    await lobby.enter("c", 0)


async def test_sessions_not_measured_yet_count_by_an_estimate() -> None:
    used = 0
    meter = Meter(3 * PER_SESSION, lambda: used)
    meter.opened()
    meter.opened()
    assert meter.fits()
    meter.opened()
    assert not meter.fits()
    used = PER_SESSION
    await meter.measure()
    assert meter.fits()
    used = 3 * PER_SESSION
    await meter.measure()
    assert not meter.fits()
