"""Which models stay in memory."""

import asyncio
import threading
import time

import pytest

from autobot.errors import Busy, Unavailable
from deployments.llm.models.cache import ModelCache


class Model:
    def __init__(self, name: str) -> None:
        self.name = name
        self.users = 0
        self.alive = True
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True


class Loader:
    """Loads names; `too_large` of them cannot be in memory together."""

    def __init__(self, too_large: int = 99) -> None:
        self.loads: list[str] = []
        self.live: list[Model] = []
        self.too_large = too_large
        self.in_thread: set[bool] = set()

    def __call__(self, name: str) -> Model:
        self.in_thread.add(threading.current_thread() is not threading.main_thread())
        time.sleep(0.01)
        self.loads.append(name)
        self.live = [model for model in self.live if not model.stopped]
        if len(self.live) + 1 >= self.too_large:
            raise Unavailable("too large")
        model = Model(name)
        self.live.append(model)
        return model


async def use(cache: ModelCache[Model], name: str) -> None:
    async with cache.borrow(name):
        await asyncio.sleep(0)


async def test_callers_at_once_share_one_load_off_the_event_loop() -> None:
    loader = Loader()
    cache = ModelCache(loader, room=2)
    await asyncio.gather(*(use(cache, "a") for _ in range(10)))
    assert loader.loads == ["a"]
    assert loader.in_thread == {True}


async def test_least_recently_used_leaves_and_the_pinned_one_stays() -> None:
    cache = ModelCache(Loader(), room=3, pinned=lambda: "a")
    for name in ("a", "b", "c", "b", "d"):
        await use(cache, name)
    assert [n for n in "abcd" if cache.get(n)] == ["a", "b", "d"]


async def test_model_in_use_is_never_evicted() -> None:
    cache = ModelCache(Loader(), room=1)
    async with cache.borrow("a") as held:
        with pytest.raises(Busy, match="a in use"):
            await use(cache, "b")
        assert not held.stopped
    await use(cache, "b")
    assert held.stopped


async def test_model_that_fits_only_alone_is_loaded_after_the_idle_ones_left() -> None:
    cache = ModelCache(Loader(too_large=2), room=5)
    await use(cache, "a")
    await use(cache, "b")
    assert cache.get("a") is None
    assert cache.get("b")


async def test_model_that_never_fits_is_refused_and_can_be_tried_again() -> None:
    loader = Loader(too_large=1)
    cache = ModelCache(loader, room=2)
    for _ in range(2):
        with pytest.raises(Unavailable, match="too large"):
            await use(cache, "a")
    assert loader.loads == ["a", "a"]


async def test_dead_model_is_replaced() -> None:
    cache = ModelCache(Loader(), room=2)
    async with cache.borrow("a") as first:
        first.alive = False
    async with cache.borrow("a") as second:
        assert second is not first
    assert first.stopped


async def test_caller_that_hangs_up_during_a_load_does_not_lose_the_model() -> None:
    cache = ModelCache(Loader(), room=2)
    task = asyncio.create_task(use(cache, "a"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.1)
    model = cache.get("a")
    assert model
    assert model.users == 0


async def test_idle_model_leaves_after_its_time_and_a_chat_starts_it_anew() -> None:
    cache = ModelCache(Loader(), room=3, pinned=lambda: "pinned", keep_alive_s=0.1)
    await use(cache, "a")
    await use(cache, "pinned")
    leaves = cache.expires("a")
    assert leaves
    assert 0 < leaves - time.time() <= 0.1
    assert cache.expires("pinned") is None
    await asyncio.sleep(0.06)
    await use(cache, "a")
    await asyncio.sleep(0.06)
    assert cache.get("a")
    await asyncio.sleep(0.08)
    assert cache.get("a") is None
    assert cache.get("pinned")


async def test_model_in_use_stays_however_long_and_a_request_may_say_for_ever() -> None:
    cache = ModelCache(Loader(), room=3, keep_alive_s=0.02)
    async with cache.borrow("a"):
        await asyncio.sleep(0.05)
        assert cache.get("a")
    async with cache.borrow("b", keep_alive_s=-1):
        pass
    await asyncio.sleep(0.05)
    assert (cache.get("a"), cache.get("b") is not None) == (None, True)


async def test_model_is_dropped_on_request_but_never_under_a_chat() -> None:
    cache = ModelCache(Loader(), room=3)
    async with cache.borrow("a") as model:
        with pytest.raises(Busy, match="answering 1 chats"):
            await cache.drop("a")
    await cache.drop("a")
    assert model.stopped
    await cache.drop("a")
