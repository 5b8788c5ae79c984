"""Batches across callers: size, order, fairness, limits, cancellation."""

import asyncio
from array import array
from collections.abc import Sequence

import pytest

from autobot.errors import Busy, Unavailable
from deployments.npu.batching.batcher import MOST_TOKENS, Batcher, Tokens, Vector


class Engine:
    """Answers a text with its first token; records batches; can be held and can fail."""

    def __init__(self) -> None:
        self.batches: list[list[Tokens]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.started = asyncio.Event()
        self.error: Exception | None = None

    async def run(self, batch: list[Tokens]) -> list[Vector]:
        self.batches.append(batch)
        self.started.set()
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return [array("f", [tokens[0]]) for tokens in batch]


def texts(*firsts: int, length: int = 1) -> list[list[int]]:
    return [[first] + [0] * (length - 1) for first in firsts]


def firsts(vectors: Sequence[Vector]) -> list[int]:
    return [int(vector[0]) for vector in vectors]


@pytest.fixture
def engine() -> Engine:
    return Engine()


async def held(engine: Engine, batcher: Batcher) -> asyncio.Task[list[Vector]]:
    """Occupy the engine with one text, so that what follows has to queue."""
    engine.free.clear()
    first = asyncio.create_task(batcher.submit(texts(999)))
    await engine.started.wait()
    return first


async def test_answers_keep_the_callers_order(engine: Engine) -> None:
    items = [[n] * (1 + n * 7 % 5) for n in range(1, 100)]
    vectors = await Batcher(engine.run, max_batch=8).submit(items)
    assert firsts(vectors) == list(range(1, 100))


async def test_waiting_callers_share_a_batch(engine: Engine) -> None:
    batcher = Batcher(engine.run)
    first = await held(engine, batcher)
    calls = [asyncio.create_task(batcher.submit(texts(n))) for n in range(20)]
    await asyncio.sleep(0)
    engine.free.set()
    answers = await asyncio.gather(first, *calls)
    assert [firsts(answer) for answer in answers] == [[999], *([n] for n in range(20))]
    assert [len(batch) for batch in engine.batches] == [1, 20]


async def test_a_batch_never_passes_its_size(engine: Engine) -> None:
    await Batcher(engine.run, max_batch=32).submit(texts(*range(100)))
    assert [len(batch) for batch in engine.batches] == [32, 32, 32, 4]


async def test_batches_hold_texts_of_similar_length(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_batch=4)
    first = await held(engine, batcher)
    calls = [
        asyncio.create_task(batcher.submit(texts(length, length=length)))
        for length in (53, 1, 100, 52, 2, 101, 51, 3, 102, 50, 4, 103)
    ]
    await asyncio.sleep(0)
    engine.free.set()
    await asyncio.gather(first, *calls)
    lengths = [sorted(map(len, batch)) for batch in engine.batches[1:]]
    assert lengths[0] == [50, 51, 52, 53]  # around the one that waits longest
    assert sorted(lengths[1:]) == [[1, 2, 3, 4], [100, 101, 102, 103]]


async def test_texts_of_mixed_length_are_not_padded_to_the_longest(engine: Engine) -> None:
    items = [[n] * length for n, length in enumerate([20, 500, 22, 480, 21, 200] * 4)]
    await Batcher(engine.run, max_batch=32).submit(items)
    padded = sum(len(batch) * max(map(len, batch)) for batch in engine.batches)
    assert padded < 1.2 * sum(map(len, items))
    assert len(engine.batches) == 3


async def test_a_long_list_does_not_starve_a_single_text(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_batch=8)
    first = await held(engine, batcher)
    many = asyncio.create_task(batcher.submit(texts(*range(1000), length=3)))
    await asyncio.sleep(0)
    single = asyncio.create_task(batcher.submit(texts(7777, length=90)))
    await asyncio.sleep(0)
    engine.free.set()
    assert firsts(await single) == [7777]
    await asyncio.gather(first, many)
    turn = next(n for n, batch in enumerate(engine.batches) if texts(7777, length=90)[0] in batch)
    assert turn <= 2
    assert len(engine.batches) > 100


async def test_a_lone_caller_never_waits_for_company(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_wait_s=30)
    async with asyncio.timeout(5):
        for n in range(3):
            await batcher.submit(texts(n))


async def test_company_is_waited_for_after_a_shared_batch(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_batch=3, max_wait_s=30)
    first = await held(engine, batcher)
    pair = [asyncio.create_task(batcher.submit(texts(n))) for n in (1, 2)]
    await asyncio.sleep(0)
    engine.free.set()
    await asyncio.gather(first, *pair)
    trio = [asyncio.create_task(batcher.submit(texts(n))) for n in (3, 4)]
    await asyncio.sleep(0.05)
    assert len(engine.batches) == 2  # the two wait for a third
    trio.append(asyncio.create_task(batcher.submit(texts(5))))
    async with asyncio.timeout(5):
        await asyncio.gather(*trio)
    assert len(engine.batches[2]) == 3


async def test_past_the_limit_callers_are_refused_and_those_inside_served(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_queue=10)
    first = await held(engine, batcher)
    inside = asyncio.create_task(batcher.submit(texts(*range(10))))
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="10"):
        await batcher.submit(texts(1))
    engine.free.set()
    assert firsts(await inside) == list(range(10))
    await first
    assert firsts(await batcher.submit(texts(5))) == [5]


async def test_a_cancelled_callers_texts_leave_the_queue(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_queue=100)
    first = await held(engine, batcher)
    gone = asyncio.create_task(batcher.submit(texts(*range(90))))
    stays = asyncio.create_task(batcher.submit(texts(1234)))
    await asyncio.sleep(0)
    assert batcher.queued == 91
    gone.cancel()
    await asyncio.sleep(0)
    assert batcher.queued == 1
    engine.free.set()
    assert firsts(await stays) == [1234]
    await first
    assert engine.batches[1:] == [texts(1234)]


async def test_a_caller_cancelled_in_the_middle_of_a_batch_harms_nobody(engine: Engine) -> None:
    batcher = Batcher(engine.run)
    gone = await held(engine, batcher)
    stays = asyncio.create_task(batcher.submit(texts(5)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    engine.free.set()
    assert firsts(await stays) == [5]


async def test_a_failed_batch_reaches_its_callers_and_the_next_is_served(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_batch=2)
    first = await held(engine, batcher)
    long = asyncio.create_task(batcher.submit(texts(1, 2, 3, 4, 5)))
    await asyncio.sleep(0)
    engine.error = Unavailable("broken")
    engine.free.set()
    with pytest.raises(Unavailable, match="broken"):
        await long
    with pytest.raises(Unavailable, match="broken"):
        await first
    assert batcher.queued == 0
    engine.error = None
    assert firsts(await batcher.submit(texts(6))) == [6]


async def test_an_engine_that_answers_short_is_an_error_not_a_hang() -> None:
    async def short(batch: list[Tokens]) -> list[Vector]:
        return []

    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="shorter"):
            await Batcher(short).submit(texts(1))


async def test_nothing_to_do_is_done_at_once(engine: Engine) -> None:
    assert await Batcher(engine.run).submit([]) == []
    assert engine.batches == []


async def test_one_key_cannot_take_the_places_of_another(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_queue=100, max_queue_each=10)
    first = await held(engine, batcher)
    greedy = asyncio.create_task(batcher.submit(texts(*range(10)), "a"))
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="10 texts of this API key are waiting; 1 more"):
        await batcher.submit(texts(11), "a")
    modest = asyncio.create_task(batcher.submit(texts(12), "b"))
    await asyncio.sleep(0)
    engine.free.set()
    await asyncio.gather(first, greedy, modest)


async def test_a_key_with_many_calls_does_not_starve_a_key_with_one(engine: Engine) -> None:
    batcher = Batcher(engine.run, max_batch=1)
    first = await held(engine, batcher)
    many = [asyncio.create_task(batcher.submit(texts(n), "a")) for n in range(50)]
    await asyncio.sleep(0)
    one = asyncio.create_task(batcher.submit(texts(777), "b"))
    await asyncio.sleep(0)
    engine.free.set()
    await asyncio.gather(first, one, *many)
    order = [batch[0][0] for batch in engine.batches]
    assert order.index(777) <= 2


async def test_a_batch_of_long_texts_keeps_a_short_one_waiting_no_longer(engine: Engine) -> None:
    batcher = Batcher(engine.run)
    first = await held(engine, batcher)
    long = asyncio.create_task(batcher.submit(texts(*range(64), length=512), "long"))
    await asyncio.sleep(0)
    engine.free.set()
    await asyncio.gather(first, long)
    sizes = [sum(map(len, batch)) for batch in engine.batches[1:]]
    assert max(sizes) <= MOST_TOKENS
    assert sum(sizes) == 64 * 512
