"""The concurrency limiter: bounds in all and for each key, and turns."""

import asyncio

import pytest

from autobot import concurrency
from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import Busy

pytestmark = pytest.mark.timeout(20)  # a limiter that does not refuse waits for ever


class Callers:
    """Callers that hold their slot until they are let go, in the order they were let in."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.limiter = limiter
        self.served: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._leave: dict[str, asyncio.Event] = {}

    async def come(self, *names: str) -> None:
        """``a1`` is the first caller with key ``a``."""
        for name in names:
            self._leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._hold(name))
            await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._leave[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)

    async def all_end(self) -> None:
        for event in self._leave.values():
            event.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def _hold(self, name: str) -> None:
        async with self.limiter.slot(name[0]):
            self.served.append(name)
            await self._leave[name].wait()


async def test_callers_past_limit_and_queue_are_refused_and_the_rest_served_in_order() -> None:
    callers = Callers(ConcurrencyLimiter(2, waiting=2, what="chats"))
    await callers.come("a1", "a2", "a3", "a4")
    assert (callers.limiter.running, callers.limiter.queued) == (2, 2)
    with pytest.raises(Busy, match="2 chats are running and 2 are waiting") as refused:
        await callers.limiter.acquire("b")
    assert refused.value.retry_after
    await callers.all_end()
    assert callers.served == ["a1", "a2", "a3", "a4"]
    assert (callers.limiter.running, callers.limiter.queued) == (0, 0)


async def test_one_key_cannot_fill_the_queue_and_the_others_come_in_turn() -> None:
    callers = Callers(ConcurrencyLimiter(1, waiting=6, waiting_each=3))
    await callers.come("a1", "a2", "a3", "a4")
    with pytest.raises(Busy, match="3 are waiting with this API key"):
        await callers.limiter.acquire("a")
    await callers.come("b1", "b2", "c1")
    for ended in ("a1", "a2", "b1", "c1", "a3", "b2"):
        await callers.end(ended)
    assert callers.served == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]
    await callers.all_end()


async def test_one_key_holds_its_part_of_the_slots_and_leaves_the_rest_to_others() -> None:
    callers = Callers(ConcurrencyLimiter(3, waiting=4, limit_each=2))
    await callers.come("a1", "a2", "a3", "b1")
    assert callers.served == ["a1", "a2", "b1"]
    assert callers.limiter.queued == 1
    await callers.end("b1")
    assert callers.served == ["a1", "a2", "b1"], "the free slot is not this key's"
    await callers.end("a1")
    assert callers.served[-1] == "a3"
    await callers.all_end()


async def test_caller_that_gives_up_waiting_leaves_its_place() -> None:
    callers = Callers(ConcurrencyLimiter(1, waiting=1))
    await callers.come("a1", "b1")
    callers.tasks["b1"].cancel()
    await asyncio.gather(callers.tasks["b1"], return_exceptions=True)
    assert (callers.limiter.running, callers.limiter.queued) == (1, 0)
    callers.tasks["a1"].cancel()
    await asyncio.gather(callers.tasks["a1"], return_exceptions=True)
    async with asyncio.timeout(1), callers.limiter.slot():
        assert callers.limiter.running == 1


async def test_caller_let_in_at_the_moment_it_gives_up_hands_its_slot_on() -> None:
    callers = Callers(ConcurrencyLimiter(1, waiting=2))
    await callers.limiter.acquire("a")
    await callers.come("b1", "c1")
    callers.limiter.release("a")  # `b1` has its turn now, but has not run yet
    callers.tasks["b1"].cancel()
    await asyncio.gather(callers.tasks["b1"], return_exceptions=True)
    await asyncio.sleep(0)
    assert callers.served == ["c1"]
    await callers.all_end()
    assert (callers.limiter.running, callers.limiter.queued) == (0, 0)


async def test_patience_ends_in_busy() -> None:
    callers = Callers(ConcurrencyLimiter(1, waiting=2))
    await callers.come("a1")
    with pytest.raises(Busy, match="None ended within"):
        await callers.limiter.acquire("b", patience_s=0.01)
    assert callers.limiter.queued == 0
    await callers.all_end()


async def test_caller_cancelled_as_a_slot_becomes_free_does_not_have_it() -> None:
    limiter = ConcurrencyLimiter(1, 4)
    await limiter.acquire("a")
    waiting = [asyncio.ensure_future(limiter.acquire(key)) for key in "bc"]
    await asyncio.sleep(0)
    waiting[0].cancel()
    limiter.release("a")  # before the cancelled caller has run again
    await asyncio.wait_for(waiting[1], 1)
    assert (limiter.running, limiter.queued) == (1, 0)


async def test_a_place_is_spared_for_the_other_keys_that_have_been_here_lately(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limiter = ConcurrencyLimiter(4, 8, spare=True)
    for _ in range(4):  # nobody else is there
        await limiter.acquire("one")
    for _ in range(4):
        limiter.release("one")
    async with limiter.slot("other"):
        pass
    for _ in range(3):
        await limiter.acquire("one")
    fourth = asyncio.ensure_future(limiter.acquire("one"))
    await asyncio.sleep(0)
    assert not fourth.done()
    async with asyncio.timeout(1):
        await limiter.acquire("other")
    limiter.release("one")
    async with asyncio.timeout(1):
        await fourth
    limiter.release("other")
    monkeypatch.setattr(concurrency, "LATELY_S", 0.0)
    async with asyncio.timeout(1):
        await limiter.acquire("one")
    assert limiter.running == 4
