"""So many run at once, so many wait, and no API key takes the others' turns."""

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator

from autobot.errors import Busy

LATELY_S = 3600.0


class ConcurrencyLimiter:
    """Lets ``limit`` callers run, of one key at most ``limit_each``; the others wait.

    At most ``waiting`` wait, of one key ``waiting_each``, and the next is refused at once. Keys
    that wait take turns, however many each waits for; callers of one key come in their order.

    With ``spare`` the last place is no key's that has all the others, if another key has been here
    within the hour: where a turn lasts as long as its caller likes, turns alone are no fairness.
    """

    def __init__(
        self,
        limit: int,
        waiting: int,
        *,
        limit_each: int | None = None,
        waiting_each: int | None = None,
        spare: bool = False,
        what: str = "requests",
    ) -> None:
        """``what`` is what is counted, in the words of a refusal."""
        self._limit = limit
        self._limit_each = limit if limit_each is None else limit_each
        self._waiting = waiting
        self._waiting_each = waiting if waiting_each is None else waiting_each
        self._spare = spare
        self._what = what
        self._seen: dict[str, float] = {}
        self._running: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.running = 0

    @property
    def queued(self) -> int:
        """How many callers wait for a slot, of all keys together."""
        return sum(map(len, self._queues.values()))

    @contextlib.asynccontextmanager
    async def slot(
        self, key: str = "", patience_s: float | None = None
    ) -> AsyncGenerator[None, None]:
        """Hold a slot for the duration of the block; see `acquire`."""
        await self.acquire(key, patience_s)
        try:
            yield
        finally:
            self.release(key)

    async def acquire(self, key: str = "", patience_s: float | None = None) -> None:
        """Take a slot in the name of ``key``; `release` gives it back.

        Raises `Busy` when the queue, or this key's part of it, is full, or when no slot was free
        within ``patience_s``.
        """
        self._note(key)
        if key not in self._queues and self._fits(key):
            self._take(key)
            return
        turn = self._queue(key)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            self._give_up(key, turn)
            if isinstance(error, TimeoutError):
                raise Busy(f"{self._said()} None ended within {patience_s:g} s.") from error
            raise

    def release(self, key: str = "") -> None:
        """Give back one slot of ``key``, which `acquire` took, and let in whoever fits now.

        Call it once for each `acquire` that returned; nothing checks that.
        """
        self.running -= 1
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
        self._admit()

    def _note(self, key: str) -> None:
        if not self._spare:
            return
        now = time.monotonic()
        self._seen = {other: at for other, at in self._seen.items() if now - at < LATELY_S}
        self._seen[key] = now

    def _fits(self, key: str) -> bool:
        most = self._limit_each
        if self._spare and self._seen.keys() - {key}:
            most = min(most, max(1, self._limit - 1))
        return self.running < self._limit and self._running[key] < most

    def _take(self, key: str) -> None:
        self.running += 1
        self._running[key] += 1

    def _queue(self, key: str) -> "asyncio.Future[None]":
        if self.queued >= self._waiting:
            raise Busy(self._said())
        queue = self._queues.get(key, deque())
        if len(queue) >= self._waiting_each:
            raise Busy(f"{self._said()} Of these, {len(queue)} are waiting with this API key.")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(key, queue).append(turn)
        return turn

    def _admit(self) -> None:
        """Let in whoever fits now, one of each key in turn."""
        while (key := next(filter(self._fits, self._queues), None)) is not None:
            self._queues.move_to_end(key)
            turn = self._queues[key].popleft()
            if not turn.done():  # else cancelled, by a caller who has not come to leave the queue
                turn.set_result(None)
                self._take(key)
            self._forget_empty(key)

    def _give_up(self, key: str, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self.release(key)  # let in at the very moment of giving up
            return
        with contextlib.suppress(KeyError, ValueError):
            self._queues[key].remove(turn)
        self._forget_empty(key)

    def _forget_empty(self, key: str) -> None:
        if key in self._queues and not self._queues[key]:
            del self._queues[key]

    def _said(self) -> str:
        return f"{self.running} {self._what} are running and {self.queued} are waiting."
