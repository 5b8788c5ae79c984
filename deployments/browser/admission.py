"""Places, and a line before them, that are fair between API keys.

A key may hold three quarters of the places, the next one three quarters of what is left, and so on:
three keys that take all they may leave one of 64 to a fourth. The line is shared out by the same
rule, and keys in it take turns, however many each waits for.
"""

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar

from autobot.errors import Busy

MAX_WAITING = 64
SHARE = 3
"""A key with places already leaves free a third of what it then holds."""

Free = Callable[[bool], int]
"""How many places are free; the argument says whether it is for a key that holds none."""

_now_or_never: ContextVar[bool] = ContextVar("now_or_never", default=False)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Nobody waits for a session in what is done inside: it is refused where it would have to."""
    token = _now_or_never.set(True)
    try:
        yield
    finally:
        _now_or_never.reset(token)


def fair(held: int, free: int) -> bool:
    """Whether a key that holds ``held`` places may have another when ``free`` are left."""
    return free > 0 and (held == 0 or held + 1 <= SHARE * (free - 1))


class AdmissionQueue:
    """Lets in while there are places. ``what`` is in them, for who is told that there is none."""

    def __init__(
        self, free: Free, max_waiting: int = MAX_WAITING, what: str = "browser sessions"
    ) -> None:
        self._free = free
        self._max_waiting = max_waiting
        self._what = what
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._held: Counter[str] = Counter()

    @property
    def inside(self) -> int:
        """How many places are held, by all keys together."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        """How many callers are in the line, of all keys together."""
        return sum(map(len, self._lines.values()))

    def may(self, owner: str) -> bool:
        """Whether there is a place for ``owner`` now."""
        held = self._held[owner]
        return fair(held, self._free(held == 0))

    async def enter(self, owner: str, patience_s: float) -> None:
        """Take a place, waiting at most ``patience_s`` for it; `leave` gives it back.

        Raises `Busy` when the line is full or the wait was in vain.
        """
        self.admit()
        if owner not in self._lines and self.may(owner):  # whoever waits may not have it
            self._held[owner] += 1
            return
        ahead = len(self._lines.get(owner, ()))
        if patience_s <= 0 or not fair(ahead, self._max_waiting - self.waiting):
            raise Busy(self._refusal(owner))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(owner, deque()).append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            self._give_up(owner, turn)
            if isinstance(error, TimeoutError):
                waited = f"No place became free within {patience_s:g} s. "
                raise Busy(waited + self._refusal(owner)) from error
            raise

    def _refusal(self, owner: str) -> str:
        held = self._held[owner]
        if held and self._free(True) > 0:
            return f"This API key has {held} {self._what}; the places that are left are for others."
        return f"There are {self.inside} {self._what} already; there is no place for another."

    def leave(self, owner: str) -> None:
        """Give back one place that `enter` took for ``owner``, and let in whoever may now."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self.admit()

    def admit(self) -> None:
        """Let in whoever may now, one of each key in turn."""
        while (owner := next(filter(self.may, self._lines), None)) is not None:
            self._lines.move_to_end(owner)
            turn = self._lines[owner].popleft()
            if not turn.done():  # else cancelled, by a caller who has not come to leave the line
                turn.set_result(None)
                self._held[owner] += 1
            self._drop_empty(owner)

    def _give_up(self, owner: str, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self.leave(owner)  # let in at the very moment of giving up
            return
        with contextlib.suppress(KeyError, ValueError):
            self._lines[owner].remove(turn)
        self._drop_empty(owner)

    def _drop_empty(self, owner: str) -> None:
        if owner in self._lines and not self._lines[owner]:
            del self._lines[owner]

    @contextlib.asynccontextmanager
    async def place(self, owner: str, patience_s: float) -> AsyncIterator[None]:
        """Hold a place for the duration of the block; raises as `enter` does."""
        await self.enter(owner, patience_s)
        try:
            yield
        finally:
            self.leave(owner)


class SessionAdmissionQueue(AdmissionQueue):
    """Places for sessions and connections, which another VM may have: see `at_once`."""

    async def enter(self, owner: str, patience_s: float) -> None:
        """As `AdmissionQueue.enter`, but inside of `at_once` nobody waits: `Busy` instead."""
        await super().enter(owner, 0 if _now_or_never.get() else patience_s)
