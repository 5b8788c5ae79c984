"""The bounded queue before an engine."""

import asyncio

import pytest

from autobot.errors import Busy
from deployments.llm.gate import Gate

pytestmark = pytest.mark.timeout(20)  # a gate that does not refuse waits for ever


async def test_callers_past_slots_and_queue_are_refused_and_the_rest_served_in_order() -> None:
    gate = Gate(slots=2, waiting=2)
    release = asyncio.Event()
    served: list[int] = []

    async def caller(number: int) -> None:
        async with gate.enter():
            served.append(number)
            await release.wait()

    tasks = [asyncio.create_task(caller(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert (gate.running, gate.queued, served) == (2, 2, [0, 1])
    with pytest.raises(Busy, match="2 chats are running and 2 are waiting") as refused:
        await caller(4)
    assert refused.value.retry_after
    release.set()
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2, 3]
    assert (gate.running, gate.queued) == (0, 0)


async def test_caller_that_gives_up_waiting_leaves_its_place() -> None:
    gate = Gate(slots=1, waiting=1)

    async def wait_for_ever() -> None:
        async with gate.enter():
            await asyncio.Event().wait()

    first, second = (asyncio.create_task(wait_for_ever()) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert (gate.running, gate.queued) == (1, 0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    async with asyncio.timeout(1), gate.enter():
        assert gate.running == 1
