"""Keeps one thing alive: starts it, notices its end, starts it again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import structlog

from autobot.errors import SetupError, Unavailable

log = structlog.get_logger()

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 30.0
SETTLED_AFTER_S = 10.0


class Mortal(Protocol):
    """Something that runs until it is closed or dies; either sets ``ended``."""

    @property
    def ended(self) -> asyncio.Event: ...

    async def close(self) -> None: ...


T = TypeVar("T", bound=Mortal)


class Restarter(Generic[T]):
    """Holds the living ``T``. One that fails or dies young is tried again, ever more slowly."""

    def __init__(self, start: Callable[[], Awaitable[T]]) -> None:
        self._start = start
        self._alive: T | None = None
        self._reason = "it is starting"
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.starts = 0

    def begin(self) -> None:
        """Start the first one in the running event loop; `get` waits for it. Called once."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def get(self) -> T:
        """Return the living one, waiting while it starts; `Unavailable` when a start failed."""
        await self._settled.wait()
        return self.peek()

    def peek(self) -> T:
        """Return the living one or raise `Unavailable` with the reason, without waiting."""
        if self._alive is None:
            raise Unavailable(f"The browser is not running: {self._reason}")
        return self._alive

    async def close(self) -> None:
        """End the living one, wait for its end, and start no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        delay = FIRST_DELAY_S
        while True:
            began = asyncio.get_running_loop().time()
            await self._one_life()
            if asyncio.get_running_loop().time() - began > SETTLED_AFTER_S:
                delay = FIRST_DELAY_S
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)

    async def _one_life(self) -> None:
        try:
            alive = await self._start()
        except Exception as error:  # whatever the cause, it is told to callers and tried again
            self._reason = str(error) or type(error).__name__
            self._settled.set()
            log.error("browser.start_failed", reason=self._reason, setup=_is_setup(error))
            return
        self.starts += 1
        self._alive = alive
        self._settled.set()
        try:
            await alive.ended.wait()
            log.warning("browser.died", starts=self.starts)
        finally:
            # Callers that come now wait for the next life instead of meeting the dead one.
            self._alive, self._reason = None, "it crashed and is starting again"
            self._settled.clear()
            with contextlib.suppress(Exception):
                await alive.close()


def _is_setup(error: Exception) -> bool:
    return isinstance(error, SetupError)
