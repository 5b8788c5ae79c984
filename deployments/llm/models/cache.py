"""Which models are in memory: loaded on demand, one load at a time, the least used leaves first."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

from autobot.errors import Busy, Unavailable


class Loaded(Protocol):
    """A model in memory. `users` is the number of chats on it now."""

    users: int

    @property
    def alive(self) -> bool:
        """False once it has ended, for whatever reason. The next chat then loads it again."""
        ...

    async def stop(self) -> None:
        """End it, and return when its memory is free. It may have ended before."""
        ...


Model = TypeVar("Model", bound=Loaded)


class ModelCache(Generic[Model]):
    """Keeps at most `room` models in memory, an idle one for `keep_alive_s` (negative: for ever).

    `load` blocks, is run in a thread and says no by raising. The model `pinned` names stays.
    """

    def __init__(
        self,
        load: Callable[[str], Model],
        room: int,
        pinned: Callable[[], str | None] = lambda: None,
        keep_alive_s: float = -1,
    ) -> None:
        self._load = load
        self._room = room
        self._pinned = pinned
        self._keep_alive_s = keep_alive_s
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    def put(self, name: str, model: Model) -> None:
        """Add a model that its caller has loaded. Does not look whether there is room for it."""
        self._models[name] = model

    def get(self, name: str) -> Model | None:
        """The model while it is in memory and alive, else None. Does not count as a use."""
        model = self._models.get(name)
        return model if model is not None and model.alive else None

    def expires(self, name: str) -> float | None:
        """When an idle model leaves, in Unix seconds; None when it stays or is in use."""
        timer = self._timers.get(name)
        return time.time() + timer.when() - asyncio.get_running_loop().time() if timer else None

    @asynccontextmanager
    async def borrow(
        self, name: str, keep_alive_s: float | None = None
    ) -> AsyncGenerator[Model, None]:
        """The model, loaded first when it is not; it stays while the block runs, and then for
        `keep_alive_s`, or what this cache was made with."""
        while (model := self.get(name)) is None:  # another load may evict it before we resume
            await self.ensure(name)
        model.users += 1
        self._models.move_to_end(name)
        self._stay(name)
        try:
            yield model
        finally:
            model.users -= 1
            if model.users == 0:
                self._leave_after(
                    name, self._keep_alive_s if keep_alive_s is None else keep_alive_s
                )

    def _stay(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _leave_after(self, name: str, seconds: float) -> None:
        self._stay(name)
        if seconds >= 0 and name != self._pinned():
            loop = asyncio.get_running_loop()
            self._timers[name] = loop.call_later(seconds, self._expire, name)

    def _expire(self, name: str) -> None:
        del self._timers[name]
        model = self._models.get(name)
        if model is not None and model.users == 0 and name != self._pinned():
            task = asyncio.get_running_loop().create_task(self._models.pop(name).stop())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def drop(self, name: str) -> None:
        """End an idle model now. Raises `Busy` while a chat runs on it."""
        model = self._models.get(name)
        if model is not None and model.users:
            raise Busy(f"'{name}' is answering {model.users} chats.")
        self._stay(name)
        if model is not None:
            await self._models.pop(name).stop()

    async def ensure(self, name: str) -> None:
        """Load the model. Callers share one load, and one that hangs up does not stop it."""
        task = self._loads.get(name)
        if task is None:
            task = asyncio.create_task(self._bring(name))
            self._loads[name] = task
            task.add_done_callback(lambda done: self._forget(name, done))
        await asyncio.shield(task)

    def _forget(self, name: str, task: asyncio.Task[None]) -> None:
        del self._loads[name]
        if not task.cancelled():
            task.exception()  # seen, even when every caller has gone

    async def _bring(self, name: str) -> None:
        async with self._turn:
            dead = self._models.pop(name, None)
            if dead is not None:
                await dead.stop()
            while len(self._models) >= self._room:
                if not await self._evict():
                    raise Busy(f"No room to load '{name}': {', '.join(self._models)} in use.")
            while True:
                try:
                    self._models[name] = await asyncio.to_thread(self._load, name)
                    return
                except Unavailable:  # too large beside the others: it may fit without one
                    if not await self._evict():
                        raise

    async def _evict(self) -> bool:
        pinned = self._pinned()
        idle = (n for n, m in self._models.items() if m.users == 0 and n != pinned)
        victim = next(idle, None)
        if victim is None:
            return False
        self._stay(victim)
        await self._models.pop(victim).stop()
        return True

    async def close(self) -> None:
        """Wait for loads under way, then stop every model, those in use too."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await asyncio.gather(*self._leaving)
        for task in list(self._loads.values()):
            await asyncio.wait([task])
        for model in self._models.values():
            await model.stop()
        self._models.clear()
