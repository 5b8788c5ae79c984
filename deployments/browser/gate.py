"""How many jobs run, how many wait, and for how long."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from autobot.errors import Busy, Timeout


class Gate:
    """``running`` jobs at once and ``waiting`` more in line, first come first served."""

    def __init__(self, running: int, waiting: int) -> None:
        self._slots = asyncio.Semaphore(running)
        self._most = running + waiting
        self._running = running
        self._inside = 0

    @property
    def active(self) -> int:
        return min(self._inside, self._running)

    @property
    def waiting(self) -> int:
        return self._inside - self.active

    @contextlib.asynccontextmanager
    async def slot(self, timeout_s: float) -> AsyncIterator[None]:
        """Hold a slot; the deadline covers the wait and the work.

        Raises `Busy` at once when the line is full, `Timeout` when the deadline passes.
        """
        if self._inside >= self._most:
            raise Busy(f"{self._most} pages are being rendered or waiting; try again shortly.")
        self._inside += 1
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                yield
        except TimeoutError as error:
            raise Timeout(f"The page was not ready within {timeout_s:g} s.") from error
        finally:
            self._inside -= 1
