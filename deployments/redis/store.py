"""All that room redis keeps, as one: what its drivers and their fakes are held to."""

from collections.abc import Sequence
from typing import Any, Protocol

from autobot.contracts.backup import Backup, FakeBackup
from autobot.contracts.keys import FakeKeys, Keys
from autobot.contracts.profiles import FakeProfiles, Profiles
from autobot.contracts.responses import FakeResponses, Responses
from autobot.keys import KeyRecord


class SeededKeys(Keys, Protocol):
    async def seed(self, records: Sequence[KeyRecord]) -> int:
        """Add ``records`` only where there never was a key; return how many were added."""
        ...


class Store(Protocol):
    @property
    def backup(self) -> Backup: ...

    @property
    def keys(self) -> SeededKeys: ...

    @property
    def profiles(self) -> Profiles: ...

    @property
    def responses(self) -> Responses: ...

    async def facts(self) -> dict[str, Any]:
        """What answers, and whether its writes are durable; raises `Unavailable`."""
        ...


class FakeSeededKeys(FakeKeys):
    _seeded = False

    async def seed(self, records: Sequence[KeyRecord]) -> int:
        seeded, self._seeded = self._seeded, True
        if seeded or self.by_id:
            return 0
        self.by_id |= {record.id: record for record in records}
        return len(records)


class FakeStore:
    """`Store` in memory, for unit tests."""

    def __init__(self) -> None:
        self.keys = FakeSeededKeys(on_revoke=self._forget)
        self.profiles = FakeProfiles(self.keys.by_id)
        self.responses = FakeResponses(self.keys.by_id)
        self.backup = FakeBackup()

    def _forget(self, key_id: str) -> None:
        self.profiles.forget(key_id)
        self.responses.forget(key_id)

    async def facts(self) -> dict[str, Any]:
        return {"server": "fake", "modules": [], "durable": False}
