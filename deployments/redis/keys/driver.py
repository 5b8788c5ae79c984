"""`Keys` in Redis.

autobot:redis:keys      a hash: id -> the record as JSON
autobot:redis:revoked   the same of keys that are revoked and whose belongings are still to go
autobot:redis:seeded    there once was a key
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import redis.asyncio
import structlog

from autobot.errors import NotFound, Unavailable
from autobot.keys import RECORDS, KeyRecord
from deployments.redis.errors import translated

KEYS = "autobot:redis:keys"
REVOKED = "autobot:redis:revoked"
SEEDED = "autobot:redis:seeded"
"""The first keys do not come back when all have been revoked."""

# One round trip decides and writes: two replicas that start at once seed the keys once.
# A platform from before the mark gets it while it has a key. With the mark nothing is written: a
# replica that starts while the disk is full must be able to read the keys.
SEED = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('SET', KEYS[2], '1')
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return #ARGV / 2
"""
# The key is removed before it is noted: Redis lets a script go on past a full memory once it has
# written, and a removal is never refused.
REVOKE = """
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return redis.call('HGET', KEYS[2], ARGV[1]) end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], record)
return record
"""

log = structlog.get_logger()


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
        self._revoke = client.register_script(REVOKE)
        # A replica before this one may have ended in the middle of a revocation.
        self._unfinished = True

    async def records(self) -> Sequence[KeyRecord]:
        """Return all keys. The first call seeds the first ones, if there never was a key.

        Also finishes revocations that failed in the middle.
        """
        await self._import_first()
        await self._finish_revocations()
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
            record = await self._revoke(keys=[KEYS, REVOKED], args=[key_id])
        if record is None:
            raise NotFound(f"There is no API key with the id '{key_id}'.")
        try:
            await self._remove_belongings(key_id)
        except BaseException:  # also when its caller went away
            self._unfinished = True
            raise
        return KeyRecord.model_validate_json(record)

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

    async def _remove_belongings(self, key_id: str) -> None:
        """May be called again after a failure: the key is forgotten last."""
        for forget in self._on_revoke:
            await forget(key_id)
        with translated():
            await self._redis.hdel(REVOKED, key_id)  # pyright: ignore[reportGeneralTypeIssues]

    async def _finish_revocations(self) -> None:
        """Never raises `Unavailable`: what is left is tried again when keys are next asked for."""
        if not self._unfinished:
            return
        self._unfinished = False
        try:
            with translated():
                revoked = await self._redis.hkeys(REVOKED)  # pyright: ignore[reportGeneralTypeIssues]
            for key_id in revoked:
                await self._remove_belongings(str(key_id))
        except BaseException as error:  # also when its caller went away
            self._unfinished = True
            if not isinstance(error, Unavailable):
                raise
            log.warning("keys.revocation_unfinished", reason=error.detail)
