"""`Store` on Redis Stack."""

from pathlib import Path
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from deployments.redis.backup.driver import RedisBackup
from deployments.redis.errors import translated
from deployments.redis.keys.driver import RedisKeys
from deployments.redis.profiles.driver import RedisProfiles
from deployments.redis.responses.driver import RedisResponses

TIMEOUT_S = 2.0


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
        self.backup = RedisBackup(self._redis, data_dir)

    async def facts(self) -> dict[str, Any]:
        """``degraded`` says that a module is missing, or that writes do not reach the disk."""
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
