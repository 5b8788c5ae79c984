"""Notices an engine that does nothing although it should, by asking for its slots.

Its answer comes out of the very loop that decodes: an engine that hangs does not give it. One that
is silent for too long is killed, which ends its chats with an error and lets the next one load it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from deployments.llm.engines.llamacpp.unix_http import BrokenOff

PERIOD_S = 2.0
PROBE_S = 0.3
SLOW_S = 10.0
"""Silent for longer, health calls it degraded."""
BASE_S = 30.0
S_PER_GIB = 30.0
"""A batch of 128 tokens takes a 1.5B model (1 GiB) a second on two quiet cores: 30 times that."""

log = structlog.get_logger()

Slots = list[dict[str, Any]]


class Watched(Protocol):
    """An engine's process. `users` is the number of chats on it now."""

    name: str
    users: int

    @property
    def alive(self) -> bool:
        """Whether the process runs. The watch ends when it does not."""
        ...

    def kill(self) -> None:
        """End it at once, whatever it is doing. The watchdog logs the reason before."""
        ...


def patience(model_bytes: int) -> float:
    """How long an engine may be silent while somebody waits: a large model's batch takes long."""
    return BASE_S + S_PER_GIB * model_bytes / (1 << 30)


class Watchdog:
    """Watches one process while it has users, and until it has noticed that they have gone."""

    def __init__(
        self,
        process: Watched,
        slots: Callable[[], Awaitable[Slots]],
        patience_s: float,
        *,
        period_s: float = PERIOD_S,
    ) -> None:
        self._process, self._slots = process, slots
        self._patience_s, self._period_s = patience_s, period_s
        self._unread_s = patience_s / 2  # nobody loses anything
        self._asked: asyncio.Task[Slots] | None = None
        self._task: asyncio.Task[None] | None = None
        self._moved = self._read = time.monotonic()
        self._progress: object = None
        self._unread = False
        self.reason: str | None = None

    def wake(self) -> None:
        """To be called when a chat begins."""
        if self._task is None or self._task.done():
            self._moved = self._read = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def still_s(self) -> float:
        """For how long it has done nothing although it should."""
        watching = self._task is not None and not self._task.done()
        return time.monotonic() - self._moved if watching else 0.0

    async def look(self) -> bool:
        """Whether it does what it should. One that is idle has to answer; from when it does not,
        its silence is counted."""
        if self.still_s == 0.0:
            try:
                async with asyncio.timeout(PROBE_S):
                    await self._slots()
            except (TimeoutError, BrokenOff):
                self.wake()
        return self.still_s <= SLOW_S

    async def close(self) -> None:
        """Stop watching and asking. The process is left as it is."""
        tasks: list[asyncio.Task[Any]] = [t for t in (self._task, self._asked) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while self._process.alive:
            busy = await self._busy()
            # An answer to what was asked while somebody read tells nothing of now.
            if not busy and self._unread and self._process.users == 0:
                return
            if self._process.users:
                self._read = time.monotonic()
            if reason := self._verdict():
                self.reason = reason
                log.error("llm.engine_killed", model=self._process.name, reason=reason)
                self._process.kill()
                return
            await asyncio.sleep(self._period_s)

    async def _busy(self) -> bool:
        """Whether it works, or does not say; notes the time when it has made progress.

        A question is asked until it is answered: in the middle of a long batch it waits.
        """
        if self._asked is None:
            self._unread = self._process.users == 0
            self._asked = asyncio.create_task(self._answered())
        await asyncio.wait({self._asked}, timeout=self._period_s)
        if not self._asked.done():
            return True
        slots, self._asked = self._asked.result(), None
        working = [slot for slot in slots if slot["is_processing"]]
        progress = [_progress(slot) for slot in working]
        if not working or progress != self._progress:
            self._moved = time.monotonic()
        self._progress = progress
        return bool(working)

    async def _answered(self) -> Slots:
        try:
            return await self._slots()
        except (TimeoutError, BrokenOff):
            return [{"is_processing": True}]  # it says nothing: that is no progress

    def _verdict(self) -> str | None:
        now = time.monotonic()
        still, unread = now - self._moved, now - self._read
        if still > self._patience_s:
            return f"it made no progress for {still:.0f} s"
        if unread > self._unread_s:
            return f"it went on for {unread:.0f} s after its last reader had gone"
        return None


def _progress(slot: dict[str, Any]) -> tuple[int, ...]:
    """What changes with each batch of the prompt and each token of the answer."""
    after = slot.get("next_token") or [{}]
    after = after[0] if isinstance(after, list) else after
    counts = (slot.get("id_task"), slot.get("n_prompt_tokens_processed"), after.get("n_decoded"))
    return tuple(int(count or 0) for count in counts)
