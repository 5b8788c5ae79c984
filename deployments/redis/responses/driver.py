"""`Responses` in Redis.

    autobot:redis:responses:OWNER        a sorted set: name -> when it was stored
    autobot:redis:response:OWNER:NAME    the text, which expires

The set tells which of an owner's texts are the oldest, and what a revoked key leaves behind.
"""

import time

import redis.asyncio

from autobot.contracts.responses import (
    KEPT_S,
    MOST_CHARACTERS,
    MOST_RESPONSES,
    MOST_TOGETHER,
    Outcome,
)
from deployments.redis.errors import translated
from deployments.redis.keys.driver import KEYS

INDEX = "autobot:redis:responses:"
TEXT = "autobot:redis:response:"

# KEYS: the API keys, index, text. ARGV: owner, name, text, now, seconds to keep, most, prefix, most
# bytes together.
# One script: a key that is revoked meanwhile leaves nothing behind.
PUT = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 'lost' end
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', tonumber(ARGV[4]) - tonumber(ARGV[5]))
local bytes = 0
for place, name in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do
    bytes = bytes + redis.call('STRLEN', ARGV[7] .. name)
    if name ~= ARGV[2] and (place > tonumber(ARGV[6]) or bytes > tonumber(ARGV[8])) then
        redis.call('UNLINK', ARGV[7] .. name)
        redis.call('ZREM', KEYS[2], name)
    end
end
return 'ok'
"""


class RedisResponses:
    """Uses the store's connection."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        most: int = MOST_RESPONSES,
        most_together: int = MOST_TOGETHER,
    ) -> None:
        self._redis = client
        self._most, self._most_together = most, most_together
        self._put = client.register_script(PUT)

    async def put(self, owner: str, name: str, text: str) -> Outcome:
        """Store a text. The same script removes the owner's oldest ones past the limits."""
        if len(text) > MOST_CHARACTERS:
            return "large"
        mine = f"{TEXT}{owner}:"
        with translated():
            return await self._put(
                keys=[KEYS, INDEX + owner, mine + name],
                args=[
                    *(owner, name, text, time.time(), KEPT_S),
                    *(self._most, mine, self._most_together),
                ],
            )

    async def get(self, owner: str, name: str) -> str | None:
        """Return a stored text, None when there is none. Texts expire after `KEPT_S`."""
        with translated():
            found: str | None = await self._redis.get(f"{TEXT}{owner}:{name}")  # pyright: ignore[reportAssignmentType]
        return found

    async def delete(self, owner: str, name: str) -> bool:
        with translated():
            async with self._redis.pipeline(transaction=True) as transaction:
                transaction.unlink(f"{TEXT}{owner}:{name}")
                transaction.zrem(INDEX + owner, name)
                gone, _ = await transaction.execute()
        return bool(gone)

    async def forget(self, owner: str) -> None:
        """Remove all of a revoked key's."""
        with translated():
            names = await self._redis.zrange(INDEX + owner, 0, -1)
            await self._redis.unlink(INDEX + owner, *(f"{TEXT}{owner}:{name}" for name in names))
