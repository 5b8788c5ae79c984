"""Finishing a revocation when who asked for the keys goes away in the middle."""

import asyncio
from typing import Any

import pytest

from deployments.redis.keys.driver import RedisKeys


class Client:
    """A Redis with one revoked key whose belongings are still there."""

    def __init__(self) -> None:
        self.revoked = {"gone"}

    def register_script(self, script: str) -> Any:
        return None

    async def hkeys(self, name: str) -> list[str]:
        return sorted(self.revoked)

    async def hdel(self, name: str, key: str) -> None:
        self.revoked.discard(key)

    async def hvals(self, name: str) -> list[str]:
        return []


async def test_it_is_begun_again_after_a_fetch_that_was_cancelled() -> None:
    forgotten: list[str] = []
    slow = asyncio.Event()

    async def forget(key: str) -> None:
        if not slow.is_set():
            slow.set()
            await asyncio.Event().wait()
        forgotten.append(key)

    keys = RedisKeys(Client(), (forget,))  # pyright: ignore[reportArgumentType]
    fetching = asyncio.create_task(keys.records())
    async with asyncio.timeout(20):
        await slow.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        await keys.records()
    assert forgotten == ["gone"]
