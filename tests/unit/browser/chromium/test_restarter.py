"""The gate and the keeper: how many, how long, and what happens after a death."""

import asyncio

import pytest

from autobot.errors import Busy, SetupError, Timeout, Unavailable
from deployments.browser.chromium import restarter as keeping
from deployments.browser.chromium.restarter import Restarter
from deployments.browser.limiter import JobLimiter

pytestmark = pytest.mark.timeout(20)


class Life:
    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.closed = False

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_DELAY_S", 0.01)


async def test_a_death_is_followed_by_another_life() -> None:
    lives: list[Life] = []

    async def start() -> Life:
        lives.append(Life())
        return lives[-1]

    restarter = Restarter(start)
    with pytest.raises(Unavailable, match="starting"):
        restarter.peek()
    restarter.begin()
    first = await restarter.get()
    first.ended.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="crashed"):
        restarter.peek()
    second = await restarter.get()
    assert (first, second) == tuple(lives)
    assert first.closed
    assert not second.closed
    await restarter.close()
    assert second.closed


async def test_a_failed_start_is_told_and_tried_again() -> None:
    broken = True

    async def start() -> Life:
        if broken:
            raise SetupError("no browser here", "install one")
        return Life()

    restarter = Restarter(start)
    restarter.begin()
    with pytest.raises(Unavailable, match=r"no browser here(.|\n)*install one"):
        await restarter.get()
    broken = False
    async with asyncio.timeout(2):
        while True:
            try:
                await restarter.get()
                break
            except Unavailable:
                await asyncio.sleep(0.01)
    assert restarter.starts == 1
    await restarter.close()


async def test_one_that_keeps_dying_is_started_ever_more_slowly() -> None:
    async def start() -> Life:
        life = Life()
        life.ended.set()
        return life

    restarter = Restarter(start)
    restarter.begin()
    await asyncio.sleep(0.5)
    await restarter.close()
    assert 3 <= restarter.starts <= 8


async def test_jobs_beyond_the_slots_wait_and_beyond_the_line_are_refused() -> None:
    limiter = JobLimiter(running=1, waiting=1)
    done = asyncio.Event()
    order: list[int] = []

    async def job(number: int) -> None:
        async with limiter.slot("a", 5):
            order.append(number)
            await done.wait()

    first, second = (asyncio.ensure_future(job(n)) for n in (1, 2))
    await asyncio.sleep(0.01)
    assert (limiter.active, limiter.waiting, order) == (1, 1, [1])
    with pytest.raises(Busy):
        await job(3)
    done.set()
    await asyncio.gather(first, second)
    assert order == [1, 2]
    assert (limiter.active, limiter.waiting) == (0, 0)


async def test_the_deadline_covers_the_wait_in_line() -> None:
    limiter = JobLimiter(running=1, waiting=1)
    async with limiter.slot("a", 5):
        with pytest.raises(Timeout, match=r"0\.05 s"):
            async with limiter.slot("a", 0.05):
                pytest.fail("there was no free slot")
    async with limiter.slot("a", 0.05):
        pass
