"""`Store` on Redis Stack."""

import asyncio
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from autobot.errors import Unavailable
from deployments.redis.driver_errors import translated
from deployments.redis.driver_keys import RedisKeys
from deployments.redis.driver_profiles import RedisProfiles
from deployments.redis.driver_responses import RedisResponses

TIMEOUT_S = 2.0
SNAPSHOT_DEADLINE_S = 60.0


class RedisStore:
    """Connects on first use and again after every loss; writes are fsynced (appendfsync always)."""

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        data_dir: Path,
        first_keys: Path | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._redis = redis.asyncio.Redis(
            host=host,
            port=port,
            username=username,
            password=password,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # The caller has a deadline; retrying inside it would only hide a dead server.
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
        )
        self.profiles = RedisProfiles(self._redis)
        self.responses = RedisResponses(self._redis)
        belongings = (self.profiles.forget, self.responses.forget)
        self.keys = RedisKeys(self._redis, belongings, first_keys)

    async def snapshot(self) -> bytes:
        """Ask Redis for an RDB file of this moment and read it: the room shares its disk."""
        with translated():
            await self._redis.bgsave()
            async with asyncio.timeout(SNAPSHOT_DEADLINE_S):
                info = await self._redis.info("persistence")
                while info["rdb_bgsave_in_progress"]:
                    await asyncio.sleep(0.05)
                    info = await self._redis.info("persistence")
            if info["rdb_last_bgsave_status"] != "ok":
                raise Unavailable("Redis could not write its snapshot; see its log.")
        return await asyncio.to_thread((self._data_dir / "dump.rdb").read_bytes)

    async def facts(self) -> dict[str, Any]:
        with translated():
            info: dict[str, Any] = await self._redis.info("everything")
        modules = info.get("modules", [])
        found = sorted(module["name"] for module in modules if isinstance(module, dict))
        facts: dict[str, Any] = {
            "server": f"Redis {info['redis_version']}",
            "modules": found,
            "durable": bool(info.get("aof_enabled")) and info.get("aof_last_write_status") == "ok",
            "used_memory_bytes": info.get("used_memory"),
        }
        missing = {"search", "ReJSON"} - set(found)
        if missing:
            facts["degraded"] = f"Redis lacks the modules {', '.join(sorted(missing))}"
        elif not facts["durable"]:
            facts["degraded"] = "Redis does not write its append-only file"
        return facts

    async def close(self) -> None:
        await self._redis.aclose()
