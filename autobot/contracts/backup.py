"""The data of the whole platform, as room redis hands it out for a backup."""

from typing import Protocol


class Backup(Protocol):
    async def snapshot(self) -> bytes:
        """Everything there is at this moment but for the values of secrets, in Redis' own RDB
        format; takes up to a minute. Raises `Unavailable`."""
        ...


class FakeBackup:
    """`Backup` of nothing."""

    async def snapshot(self) -> bytes:
        return b"REDIS0012"
