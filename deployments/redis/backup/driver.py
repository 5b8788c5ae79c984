"""`Backup` in Redis: its own snapshot file, without the secrets of automations."""

import asyncio
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.client import NEVER_DECODE

from autobot.errors import Unavailable
from deployments.redis.backup.blanking import blanked
from deployments.redis.errors import translated

DEADLINE_S = 60.0
TRIES = 3
"""Snapshots taken, while secrets are set or removed."""
SECRETS = "autobot:main:secrets"
"""As room main keeps them: a hash by name, the number of writes, and a string for each."""


class RedisBackup:
    """Uses the store's connection; ``data_dir`` is where Redis has its files."""

    def __init__(self, client: redis.asyncio.Redis, data_dir: Path) -> None:
        self._redis = client
        self._data_dir = data_dir

    async def snapshot(self) -> bytes:
        """Ask Redis for an RDB file of this moment and read it: the room shares its disk.

        Sealed secrets in it are blank, those before and after the snapshot; it is taken again if
        one was set or removed meanwhile, which may be in it and is in neither.
        """
        for _ in range(TRIES):
            writes, sealed = await self._secrets()
            snapshot = await self._save()
            if await self._secrets() == (writes, sealed):
                return await asyncio.to_thread(blanked, snapshot, sealed)
        raise Unavailable("Secrets were changed while the snapshot was taken; try again.")

    async def _secrets(self) -> tuple[Any, list[bytes]]:
        """How often secrets were written, and every sealed value."""
        with translated():
            writes = await self._redis.get(f"{SECRETS}:writes")
            names: Any = await self._redis.hkeys(SECRETS)  # pyright: ignore[reportGeneralTypeIssues]
            sealed = [await self._sealed(name) for name in sorted(names)]
        return writes, [value for value in sealed if value]

    async def _sealed(self, name: str) -> bytes | None:
        key = f"autobot:main:secret:{name}"
        return await self._redis.execute_command("GET", key, **{NEVER_DECODE: True})

    async def _save(self) -> bytes:
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
