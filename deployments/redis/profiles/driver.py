"""`Profiles` in Redis.

    autobot:redis:profiles:OWNER        a hash: name -> {"saved", "bytes"}
    autobot:redis:profile:OWNER:NAME    the sealed profile, in base64
    autobot:redis:lease:OWNER:NAME      the token of its writer, with an expiry

Each decision and its write are one script, so two rooms that ask at once get one answer.
"""

import base64
import json
import time
from collections.abc import Sequence
from typing import Any

import redis.asyncio

from autobot.contracts.profiles import MOST_BYTES, MOST_PROFILES, Outcome, ProfileInfo
from deployments.redis.errors import translated
from deployments.redis.keys.driver import KEYS

INDEX = "autobot:redis:profiles:"

# KEYS: the API keys, index, profile, lease. ARGV: owner, name, token, ...
BEGIN = """
local keys, index, profile, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local owner, name, token = ARGV[1], ARGV[2], ARGV[3]
local function full(most)
    return redis.call('HEXISTS', index, name) == 0 and redis.call('HLEN', index) >= tonumber(most)
end
local function gone() return redis.call('HEXISTS', keys, owner) == 0 end
local function mine() return redis.call('GET', lease) == token end
"""
TAKE = """
if gone() then return {'lost'} end
if redis.call('EXISTS', lease) == 1 then return {'held'} end
if full(ARGV[5]) then return {'full'} end
redis.call('SET', lease, token, 'PX', ARGV[4])
return {'ok', redis.call('GET', profile)}
"""
RENEW = """
if not mine() then return 'lost' end
redis.call('PEXPIRE', lease, ARGV[4])
return 'ok'
"""
SAVE = """
if gone() or not mine() then return 'lost' end
if full(ARGV[6]) then return 'full' end
redis.call('SET', profile, ARGV[4])
redis.call('HSET', index, name, ARGV[5])
return 'ok'
"""
RELEASE = "if mine() then redis.call('DEL', lease) end"
DELETE = """
if redis.call('EXISTS', lease) == 1 then return 'held' end
redis.call('DEL', profile)
return redis.call('HDEL', index, name) == 1 and 'ok' or 'none'
"""


class RedisProfiles:
    """Uses the store's connection."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        scripts = {"take": TAKE, "renew": RENEW, "save": SAVE, "release": RELEASE, "delete": DELETE}
        self._scripts = {
            name: client.register_script(BEGIN + body) for name, body in scripts.items()
        }

    async def _run(self, script: str, owner: str, name: str, token: str, *more: Any) -> Any:
        keys = [KEYS, INDEX + owner, _profile(owner, name), _lease(owner, name)]
        with translated():
            return await self._scripts[script](keys=keys, args=[owner, name, token, *more])

    async def take(
        self, owner: str, name: str, token: str, lease_s: float
    ) -> tuple[Outcome, bytes | None]:
        """Lease a profile to ``token``. Redis itself ends the lease after ``lease_s`` seconds."""
        found = await self._run("take", owner, name, token, round(lease_s * 1000), MOST_PROFILES)
        sealed = base64.b64decode(found[1]) if len(found) > 1 and found[1] else None
        return found[0], sealed

    async def renew(self, owner: str, name: str, token: str, lease_s: float) -> Outcome:
        """Let the lease last ``lease_s`` seconds from now; its old end does not count."""
        return await self._run("renew", owner, name, token, round(lease_s * 1000))

    async def save(self, owner: str, name: str, token: str, sealed: bytes) -> Outcome:
        """Store ``sealed`` as base64, and the time by this room's clock. The lease stays."""
        if len(sealed) > MOST_BYTES:
            return "large"
        text = base64.b64encode(sealed).decode()
        about = json.dumps({"saved": time.time(), "bytes": len(sealed)})
        return await self._run("save", owner, name, token, text, about, MOST_PROFILES)

    async def release(self, owner: str, name: str, token: str) -> None:
        await self._run("release", owner, name, token)

    async def list(self, owner: str) -> Sequence[ProfileInfo]:
        with translated():
            index = await self._redis.hgetall(INDEX + owner)  # pyright: ignore[reportGeneralTypeIssues]
            names = sorted(map(str, index))
            leases = await self._redis.mget([_lease(owner, n) for n in names]) if names else []
        return [
            ProfileInfo(name, **json.loads(index[name]), in_use=lease is not None)
            for name, lease in zip(names, leases, strict=True)
        ]

    async def delete(self, owner: str, name: str) -> Outcome:
        """Remove a profile, unless somebody has its lease: then it is ``held``, whoever that is."""
        return await self._run("delete", owner, name, "")

    async def forget(self, owner: str) -> None:
        """Remove all of a revoked key's; what a session still holds cannot be saved any more."""
        with translated():
            names = await self._redis.hkeys(INDEX + owner)  # pyright: ignore[reportGeneralTypeIssues]
            doomed = [INDEX + owner, *(_profile(owner, str(name)) for name in names)]
            await self._redis.unlink(*doomed)


def _profile(owner: str, name: str) -> str:
    return f"autobot:redis:profile:{owner}:{name}"


def _lease(owner: str, name: str) -> str:
    return f"autobot:redis:lease:{owner}:{name}"
