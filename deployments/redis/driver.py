"""`Store` on Redis Stack."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from autobot.errors import NotFound, Unavailable
from autobot.keys import KeyRecord
from deployments.redis.driver_errors import translated
from deployments.redis.driver_profiles import KEYS, RedisProfiles
from deployments.redis.driver_responses import RedisResponses

TIMEOUT_S = 2.0
SNAPSHOT_DEADLINE_S = 60.0

SEEDED = "autobot:redis:seeded"
"""There once was a key: the first ones do not come back when all have been revoked."""

# One round trip decides and writes: two replicas that start at once seed the keys once.
# A platform from before the mark gets it while it has a key.
SEED = """
local seeded = redis.call('EXISTS', KEYS[2]) == 1
redis.call('SET', KEYS[2], '1')
if seeded or redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return #ARGV / 2
"""


class RedisStore:
    """Connects on first use and again after every loss; writes are fsynced (appendfsync always)."""

    def __init__(self, host: str, port: int, username: str, password: str, data_dir: Path) -> None:
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
        self._seed = self._redis.register_script(SEED)
        self.profiles = RedisProfiles(self._redis)
        self.responses = RedisResponses(self._redis)

    async def key_records(self) -> list[KeyRecord]:
        with translated():
            values = await self._redis.hvals(KEYS)  # pyright: ignore[reportGeneralTypeIssues]
        return [KeyRecord.model_validate_json(value) for value in values]

    async def add_key(self, record: KeyRecord) -> None:
        with translated():
            await self._redis.hset(KEYS, record.id, record.model_dump_json())  # pyright: ignore[reportGeneralTypeIssues]

    async def seed_keys(self, records: Sequence[KeyRecord]) -> int:
        if not records:
            return 0
        pairs = [part for record in records for part in (record.id, record.model_dump_json())]
        with translated():
            return int(await self._seed(keys=[KEYS, SEEDED], args=pairs))

    async def revoke_key(self, key_id: str) -> KeyRecord:
        with translated():
            async with self._redis.pipeline(transaction=True) as transaction:
                transaction.hget(KEYS, key_id)
                transaction.hdel(KEYS, key_id)
                found, _ = await transaction.execute()
        if found is None:
            raise NotFound(f"There is no API key with the id '{key_id}'.")
        await self.profiles.forget(key_id)
        await self.responses.forget(key_id)
        return KeyRecord.model_validate_json(found)

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
