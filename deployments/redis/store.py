"""What the other rooms ask of the redis room: its contract, and the fake that keeps it."""

from collections.abc import Sequence
from typing import Any, Protocol

from autobot.errors import NotFound
from autobot.keys import KeyRecord
from deployments.redis.profiles import FakeProfiles, Profiles
from deployments.redis.responses import FakeResponses, Responses


class Store(Protocol):
    """Keys and their durability. Every write has reached the disk when its call returns."""

    @property
    def profiles(self) -> Profiles: ...

    @property
    def responses(self) -> Responses: ...

    async def key_records(self) -> list[KeyRecord]: ...

    async def add_key(self, record: KeyRecord) -> None: ...

    async def seed_keys(self, records: Sequence[KeyRecord]) -> int:
        """Add ``records`` only where there never was a key; return how many were added."""
        ...

    async def revoke_key(self, key_id: str) -> KeyRecord:
        """Remove a key with its profiles and responses; NotFound when there is none of that id."""
        ...

    async def snapshot(self) -> bytes:
        """Everything there is now, in Redis' own RDB format."""
        ...

    async def facts(self) -> dict[str, Any]: ...


class FakeStore:
    """`Store` in memory, for unit tests."""

    def __init__(self) -> None:
        self._keys: dict[str, KeyRecord] = {}
        self._seeded = False
        self.profiles = FakeProfiles(self._keys)
        self.responses = FakeResponses(self._keys)

    async def key_records(self) -> list[KeyRecord]:
        return list(self._keys.values())

    async def add_key(self, record: KeyRecord) -> None:
        self._keys[record.id] = record

    async def seed_keys(self, records: Sequence[KeyRecord]) -> int:
        seeded, self._seeded = self._seeded, True
        if seeded or self._keys:
            return 0
        self._keys.update({record.id: record for record in records})
        return len(records)

    async def revoke_key(self, key_id: str) -> KeyRecord:
        self.profiles.forget(key_id)
        self.responses.forget(key_id)
        try:
            return self._keys.pop(key_id)
        except KeyError:
            raise NotFound(f"There is no API key with the id '{key_id}'.") from None

    async def snapshot(self) -> bytes:
        return b"REDIS" + b"".join(r.model_dump_json().encode() for r in self._keys.values())

    async def facts(self) -> dict[str, Any]:
        return {"server": "fake", "modules": [], "durable": False}
