"""`Keys` in Redis.

autobot:redis:keys      a hash: id -> the record as JSON
autobot:redis:seeded    there once was a key
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import redis.asyncio

from autobot.errors import NotFound
from autobot.keys import RECORDS, KeyRecord
from deployments.redis.errors import translated

KEYS = "autobot:redis:keys"
SEEDED = "autobot:redis:seeded"
"""The first keys do not come back when all have been revoked."""

# One round trip decides and writes: two replicas that start at once seed the keys once.
# A platform from before the mark gets it while it has a key.
SEED = """
local seeded = redis.call('EXISTS', KEYS[2]) == 1
redis.call('SET', KEYS[2], '1')
if seeded or redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return #ARGV / 2
"""


class RedisKeys:
    """Uses the store's connection; ``on_revoke`` removes what belongs to a key of that id."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        on_revoke: Sequence[Callable[[str], Awaitable[None]]] = (),
        first: Path | None = None,
    ) -> None:
        """``first`` holds the records of the first keys, of which set-up left only the hashes."""
        self._redis = client
        self._on_revoke = on_revoke
        self._first = first
        self._seed = client.register_script(SEED)

    async def records(self) -> Sequence[KeyRecord]:
        """Return all keys. The first call seeds the first ones, if there never was a key."""
        await self._import_first()
        with translated():
            values = await self._redis.hvals(KEYS)  # pyright: ignore[reportGeneralTypeIssues]
        return [KeyRecord.model_validate_json(value) for value in values]

    async def add(self, record: KeyRecord) -> None:
        """Seed the first keys, then add this one: `seed` adds nothing where there is a key."""
        await self._import_first()
        with translated():
            await self._redis.hset(KEYS, record.id, record.model_dump_json())  # pyright: ignore[reportGeneralTypeIssues]

    async def revoke(self, key_id: str) -> KeyRecord:
        """Remove the key, then its belongings: nothing new is stored for a key that is gone."""
        with translated():
            async with self._redis.pipeline(transaction=True) as transaction:
                transaction.hget(KEYS, key_id)
                transaction.hdel(KEYS, key_id)
                found, _ = await transaction.execute()
        if found is None:
            raise NotFound(f"There is no API key with the id '{key_id}'.")
        for forget in self._on_revoke:
            await forget(key_id)
        return KeyRecord.model_validate_json(found)

    async def seed(self, records: Sequence[KeyRecord]) -> int:
        """Add ``records`` only where there never was a key; return how many were added."""
        if not records:
            return 0
        pairs = [part for record in records for part in (record.id, record.model_dump_json())]
        with translated():
            return int(await self._seed(keys=[KEYS, SEEDED], args=pairs))

    async def _import_first(self) -> None:
        if self._first is not None and self._first.exists():
            await self.seed(RECORDS.validate_json(self._first.read_bytes()))
        self._first = None
