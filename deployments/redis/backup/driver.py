"""`Backup` in Redis: its own snapshot file."""

import asyncio
from pathlib import Path

import redis.asyncio

from autobot.errors import Unavailable
from deployments.redis.errors import translated

DEADLINE_S = 60.0


class RedisBackup:
    """Uses the store's connection; ``data_dir`` is where Redis has its files."""

    def __init__(self, client: redis.asyncio.Redis, data_dir: Path) -> None:
        self._redis = client
        self._data_dir = data_dir

    async def snapshot(self) -> bytes:
        """Ask Redis for an RDB file of this moment and read it: the room shares its disk."""
        with translated():
            await self._redis.bgsave()
            async with asyncio.timeout(DEADLINE_S):
                info = await self._redis.info("persistence")
                while info["rdb_bgsave_in_progress"]:
                    await asyncio.sleep(0.05)
                    info = await self._redis.info("persistence")
            if info["rdb_last_bgsave_status"] != "ok":
                raise Unavailable("Redis could not write its snapshot; see its log.")
        return await asyncio.to_thread((self._data_dir / "dump.rdb").read_bytes)
