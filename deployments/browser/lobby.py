"""Places for sessions, and a line that is fair between keys."""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar

from autobot.errors import Busy

MAX_WAITING = 64
MAX_WAITING_EACH = 16

_now_or_never: ContextVar[bool] = ContextVar("now_or_never", default=False)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Nobody waits in a line for what is done inside: it is refused where it would have to."""
    token = _now_or_never.set(True)
    try:
        yield
    finally:
        _now_or_never.reset(token)


class Lobby:
    """Lets in while ``fits(inside)``. Keys that wait take turns, however many each waits for."""

    def __init__(self, fits: Callable[[int], bool], max_waiting: int = MAX_WAITING) -> None:
        self._fits = fits
        self._max_waiting = max_waiting
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.inside = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    async def enter(self, owner: str, patience_s: float) -> None:
        """Take a place, waiting at most ``patience_s`` for it; `leave` gives it back.

        Raises `Busy` when the line is full or the wait was in vain.
        """
        if not self._lines and self._fits(self.inside):
            self.inside += 1
            return
        if _now_or_never.get():
            patience_s = 0
        line = self._lines.setdefault(owner, deque())
        if self.waiting >= self._max_waiting or len(line) >= MAX_WAITING_EACH or patience_s <= 0:
            self._drop_empty(owner)
            raise Busy(f"{self.inside} browser sessions are open; there is no place for another.")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            self._give_up(owner, turn)
            if isinstance(error, TimeoutError):
                raise Busy(f"No browser session ended within {patience_s:g} s.") from error
            raise

    def leave(self) -> None:
        self.inside -= 1
        self.admit()

    def admit(self) -> None:
        """Let in whoever fits now, one of each key in turn."""
        while self._lines and self._fits(self.inside):
            owner, line = next(iter(self._lines.items()))
            self._lines.move_to_end(owner)
            line.popleft().set_result(None)
            self.inside += 1
            self._drop_empty(owner)

    def _give_up(self, owner: str, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self.leave()  # let in at the very moment of giving up
            return
        with contextlib.suppress(KeyError, ValueError):
            self._lines[owner].remove(turn)
        self._drop_empty(owner)

    def _drop_empty(self, owner: str) -> None:
        if owner in self._lines and not self._lines[owner]:
            del self._lines[owner]

    @contextlib.asynccontextmanager
    async def place(self, owner: str, patience_s: float) -> AsyncIterator[None]:
        await self.enter(owner, patience_s)
        try:
            yield
        finally:
            self.leave()
