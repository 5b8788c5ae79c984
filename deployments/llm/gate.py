"""A bounded queue before an engine: so many run, so many wait, the next is refused at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from autobot.errors import Busy


class Gate:
    """Admits `slots` callers at a time in order of arrival; at most `waiting` more may queue."""

    def __init__(self, slots: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(slots)
        self._slots = slots
        self._limit = slots + waiting
        self._inside = 0

    @property
    def running(self) -> int:
        return min(self._inside, self._slots)

    @property
    def queued(self) -> int:
        return self._inside - self.running

    @asynccontextmanager
    async def enter(self) -> AsyncGenerator[None, None]:
        """Hold a slot for the duration of the block; raise `Busy` when the queue is full."""
        if self._inside >= self._limit:
            raise Busy(f"{self.running} chats are running and {self.queued} are waiting.")
        self._inside += 1
        try:
            async with self._free:
                yield
        finally:
            self._inside -= 1
