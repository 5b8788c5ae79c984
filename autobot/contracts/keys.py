"""API keys as room redis keeps them; every replica of every other room asks for them."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from autobot.errors import NotFound, Unavailable
from autobot.keys import KeyRecord


class Keys(Protocol):
    """A write has reached the disk when its call returns."""

    async def records(self) -> Sequence[KeyRecord]:
        """All that there are, in no order."""
        ...

    async def add(self, record: KeyRecord) -> None:
        """Store a new key's record; one of the same id is replaced."""
        ...

    async def revoke(self, key_id: str) -> KeyRecord:
        """Remove a key with its profiles and responses. `NotFound`: there is none of that id.

        After `Unavailable` the key may be gone already and some of its belongings may not. The same
        call then finishes it, and so does a later `records`.
        """
        ...


class FakeKeys:
    """`Keys` in memory; ``on_revoke`` is told the id of each that goes."""

    def __init__(
        self,
        records: Sequence[KeyRecord] = (),
        on_revoke: Callable[[str], None] = lambda key_id: None,
    ) -> None:
        self.by_id = {record.id: record for record in records}
        self._revoked: dict[str, KeyRecord] = {}
        self._on_revoke = on_revoke

    async def records(self) -> Sequence[KeyRecord]:
        with contextlib.suppress(Unavailable):
            for key_id in list(self._revoked):
                self._remove_belongings(key_id)
        return list(self.by_id.values())

    async def add(self, record: KeyRecord) -> None:
        self.by_id[record.id] = record

    async def revoke(self, key_id: str) -> KeyRecord:
        if key_id in self.by_id:
            self._revoked[key_id] = self.by_id.pop(key_id)
        if key_id not in self._revoked:
            raise NotFound(f"There is no API key with the id '{key_id}'.")
        return self._remove_belongings(key_id)

    def _remove_belongings(self, key_id: str) -> KeyRecord:
        self._on_revoke(key_id)
        return self._revoked.pop(key_id)
