"""`Secrets` on Redis.

autobot:main:secrets           a hash: name -> when it was created and changed, by whom
autobot:main:secret:NAME       the sealed value, a string: `deployments/redis/backup/` blanks it
autobot:main:secrets:writes    how often any was set or removed: tells a backup that one was
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

import redis.asyncio

from autobot.contracts.secrets import (
    MOST_SECRETS,
    Opened,
    SecretInfo,
    check,
    missing,
    too_many,
)
from deployments.main.automation.store.connection import PREFIX, translated
from deployments.main.secrets.sealing import Seal

INDEX = f"{PREFIX}secrets"

# KEYS: index, sealed value, writes. ARGV: name, sealed value, by, most
SET = """
local have = redis.call('HGET', KEYS[1], ARGV[1])
if not have and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return false end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local created = have and cjson.decode(have).created or now
local info = cjson.encode({created = created, changed = now, by = ARGV[3]})
redis.call('SET', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], info)
redis.call('INCR', KEYS[3])
return info
"""
# KEYS: as above. ARGV: name
REMOVE = """
redis.call('UNLINK', KEYS[2])
redis.call('INCR', KEYS[3])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""


class RedisSecrets:
    """Each write is one script. Sealing and opening happen here: Redis never has a value."""

    def __init__(self, client: "redis.asyncio.Redis", seal: Seal) -> None:
        self._redis, self._seal = client, seal
        self._set = client.register_script(SET)
        self._remove = client.register_script(REMOVE)

    async def all(self) -> Sequence[SecretInfo]:
        with translated():
            found: Any = await self._redis.hgetall(INDEX)  # pyright: ignore[reportGeneralTypeIssues]
        names = sorted(name.decode() for name in found)
        opened = await self.open(names)
        return [_info(name, found[name.encode()], name in opened.values) for name in names]

    async def set(self, name: str, value: str, by: str) -> SecretInfo:
        check(name, value)
        sealed = self._seal.seal(name, value)
        with translated():
            info = await self._set(keys=_keys(name), args=[name, sealed, by, MOST_SECRETS])
        if info is None:
            raise too_many()
        return _info(name, info)

    async def remove(self, name: str) -> None:
        with translated():
            removed = await self._remove(keys=_keys(name), args=[name])
        if not removed:
            raise missing(name)

    async def open(self, names: Collection[str]) -> Opened:
        wanted = sorted(names)
        if not wanted:
            return Opened({})
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.mget([_key(name) for name in wanted])
                pipeline.hmget(INDEX, wanted)
                sealed, known = await pipeline.execute()
        values = {
            name: value
            for name, body in zip(wanted, sealed, strict=True)
            if body is not None and (value := self._seal.open(name, body)) is not None
        }
        there = {name for name, info in zip(wanted, known, strict=True) if info is not None}
        return Opened(values, frozenset(set(wanted) - there), frozenset(there - values.keys()))


def _key(name: str) -> str:
    return f"{PREFIX}secret:{name}"


def _keys(name: str) -> list[str]:
    return [INDEX, _key(name), f"{INDEX}:writes"]


def _info(name: str, stored: bytes, readable: bool = True) -> SecretInfo:
    info = json.loads(stored)
    return SecretInfo(name, int(info["created"]), int(info["changed"]), info["by"], readable)
