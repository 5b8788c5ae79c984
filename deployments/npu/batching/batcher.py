"""Dynamic batching across callers, in asyncio alone; for any model that reads texts in batches.

Texts of all callers wait together. Each batch takes texts of similar length, because a batch is as
slow as its longest text, and always serves the API key, and of it the caller, who has waited
longest since its last turn: neither a list of thousands nor hundreds of callers with one key can
starve a single sentence of another's.
"""

import asyncio
from array import array
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from autobot.errors import Busy, Unavailable

Tokens = Sequence[int]
Vector: TypeAlias = "array[float]"  # typecode f

Item = TypeVar("Item", bound=Sized)
"""A text; its length is in tokens."""
Result = TypeVar("Result")

WINDOW_BATCHES = 4
"""How many batches' worth of waiting texts are looked at to find some of similar length."""

MOST_PADDED = 1.2
"""A batch may be this many times as large as its texts: what one more inference costs."""
MOST_TOKENS = 4096
"""Of a batch, padding included: as long does everybody else wait, whose text may be a single word.
Larger ones are no faster."""
SHORT_TOKENS = 16
"""Below this length the inference costs more than its tokens, so padding is free."""


@dataclass(eq=False, slots=True)
class _Call(Generic[Item, Result]):
    waiting: deque[int]  # indices into ``items``, shortest first
    items: Sequence[Item]
    results: dict[int, Result]
    done: asyncio.Future[None]
    key: str


@dataclass(slots=True)
class _Pick(Generic[Item, Result]):
    call: _Call[Item, Result]
    index: int

    @property
    def length(self) -> int:
        return len(self.call.items[self.index])


class Batcher(Generic[Item, Result]):
    """Runs ``run`` on batches of at most ``max_batch`` texts, one batch at a time.

    While several callers are active it waits up to ``max_wait_s`` for a fuller batch; a lone caller
    never waits. More than ``max_queue`` waiting texts, or ``max_queue_each`` of one API key, are
    refused with `Busy`. Keys take turns, and within a key its calls.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        *,
        max_batch: int = 32,
        max_wait_s: float = 0.002,
        max_queue: int = 16_384,
        max_queue_each: int = 4096,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._max_queue = max_queue
        self._max_queue_each = max_queue_each
        self._calls: list[_Call[Item, Result]] = []  # longest without a turn first
        self._full = asyncio.Event()
        self._crowded = False
        self._drain: asyncio.Task[None] | None = None
        self.queued = 0

    async def submit(self, items: Sequence[Item], key: str = "") -> list[Result]:
        """Return ``run``'s result for each of ``items``; a cancelled call's leave the queue.

        ``key``: whose turn it takes.
        """
        if not items:
            return []
        self._check_room(len(items), key)
        order = sorted(range(len(items)), key=lambda index: len(items[index]))
        done = asyncio.get_running_loop().create_future()
        call = _Call[Item, Result](deque(order), items, {}, done, key)
        self._calls.append(call)
        self._count(len(items))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._work())
        try:
            await done
        finally:
            self._leave(call)
        return [call.results[index] for index in range(len(items))]

    def _check_room(self, more: int, key: str) -> None:
        own = sum(len(call.waiting) for call in self._calls if call.key == key)
        for waiting, limit, whose in (
            (self.queued, self._max_queue, ""),
            (own, self._max_queue_each, " of this API key"),
        ):
            if waiting + more > limit:
                raise Busy(
                    f"{waiting} texts{whose} are waiting; {more} more would pass the limit of "
                    f"{limit}."
                )

    def _count(self, change: int) -> None:
        self.queued += change
        if self.queued >= self._max_batch:
            self._full.set()
        else:
            self._full.clear()

    def _leave(self, call: _Call[Item, Result]) -> None:
        self._count(-len(call.waiting))
        call.waiting.clear()
        if call in self._calls:
            self._calls.remove(call)

    async def _work(self) -> None:
        """Serve until nothing waits."""
        try:
            while self.queued:
                await self._gather()
                if batch := self._take():
                    await self._serve(batch)
        finally:
            for call in self._calls:  # some are unanswered only when this task was cancelled
                if not call.done.done():
                    call.done.set_exception(Unavailable("The replica is shutting down."))

    async def _gather(self) -> None:
        """Give callers of the batch before a moment to come back with their next text."""
        if self._crowded and self.queued < self._max_batch:
            try:
                async with asyncio.timeout(self._max_wait_s):
                    await self._full.wait()
            except TimeoutError:
                pass

    def _take(self) -> list[_Pick[Item, Result]]:
        picks = most_alike(self._window(), self._max_batch)
        served = {id(pick.call) for pick in picks}
        for pick in picks:
            pick.call.waiting.remove(pick.index)
        self._count(-len(picks))
        keys = {pick.call.key for pick in picks}
        # Stable: keys that were served go to the end, and there the calls that were.
        self._calls.sort(key=lambda call: (call.key in keys, id(call) in served))
        self._crowded = len(served) > 1
        return picks

    def _window(self) -> list[_Pick[Item, Result]]:
        """Waiting texts, keys and callers taking turns; whoever waits longest comes first."""
        size = self._max_batch * WINDOW_BATCHES
        picks: list[_Pick[Item, Result]] = []
        depth = 0
        rows = _in_turns(call for call in self._calls if call.waiting)
        while rows and len(picks) < size:
            picks.extend(_Pick(call, call.waiting[depth]) for call in rows[: size - len(picks)])
            depth += 1
            rows = [call for call in rows if len(call.waiting) > depth]
        return picks

    async def _serve(self, picks: list[_Pick[Item, Result]]) -> None:
        try:
            results = await self._run([pick.call.items[pick.index] for pick in picks])
            answered = list(zip(picks, results, strict=True))
        except Exception as error:  # the batch's callers hear of it; the next batch is served
            for pick in picks:
                self._leave(pick.call)
                if not pick.call.done.done():
                    pick.call.done.set_exception(error)
            return
        for pick, result in answered:
            call = pick.call
            call.results[pick.index] = result
            if len(call.results) == len(call.items) and not call.done.done():
                call.done.set_result(None)


def _in_turns(calls: Iterable[_Call[Item, Result]]) -> list[_Call[Item, Result]]:
    """The first call of every key, then every second one, and so on."""
    before: Counter[str] = Counter()
    ranked: list[tuple[int, _Call[Item, Result]]] = []
    for call in calls:
        ranked.append((before[call.key], call))
        before[call.key] += 1
    return [call for _, call in sorted(ranked, key=lambda entry: entry[0])]


def most_alike(window: list[_Pick[Item, Result]], size: int) -> list[_Pick[Item, Result]]:
    """Return at most ``size`` texts around the window's first that are about as long as it.

    Padding costs as much as text: a batch of mixed lengths takes longer than its texts one by one.
    """
    ordered = sorted(window, key=lambda pick: pick.length)
    low = high = ordered.index(window[0])
    tokens = window[0].length
    while high - low + 1 < size:
        below = ordered[low - 1].length if low else 0
        above = ordered[high + 1].length if high + 1 < len(ordered) else 0
        count, longest = high - low + 2, ordered[high].length
        if below and fits(longest, count, tokens + below):
            low, tokens = low - 1, tokens + below
        elif above and fits(above, count, tokens + above):
            high, tokens = high + 1, tokens + above
        else:
            break
    return ordered[low : high + 1]


def fits(longest: int, count: int, tokens: int) -> bool:
    """Whether ``count`` texts of ``tokens`` in all are worth one batch as wide as ``longest``."""
    if longest * count > MOST_TOKENS:
        return False
    return longest <= SHORT_TOKENS or longest * count <= MOST_PADDED * tokens
