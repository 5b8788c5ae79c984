"""Which models are in memory: loaded on demand, one load at a time, the least used leaves first."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

from autobot.errors import Busy, Unavailable


class Loaded(Protocol):
    """A model in memory. `users` is the number of chats on it now."""

    users: int

    @property
    def alive(self) -> bool: ...

    async def stop(self) -> None: ...


Model = TypeVar("Model", bound=Loaded)


class Shelf(Generic[Model]):
    """Keeps at most `room` models in memory.

    `load` blocks, is run in a thread and says no by raising. The model `pinned` names stays.
    """

    def __init__(
        self,
        load: Callable[[str], Model],
        room: int,
        pinned: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._load = load
        self._room = room
        self._pinned = pinned
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    def put(self, name: str, model: Model) -> None:
        self._models[name] = model

    def get(self, name: str) -> Model | None:
        model = self._models.get(name)
        return model if model is not None and model.alive else None

    @asynccontextmanager
    async def borrow(self, name: str) -> AsyncGenerator[Model, None]:
        """The model, loaded first when it is not; it stays while the block runs."""
        while (model := self.get(name)) is None:  # another load may evict it before we resume
            await self.ensure(name)
        model.users += 1
        self._models.move_to_end(name)
        try:
            yield model
        finally:
            model.users -= 1

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
        await self._models.pop(victim).stop()
        return True

    async def close(self) -> None:
        for task in list(self._loads.values()):
            await asyncio.wait([task])
        for model in self._models.values():
            await model.stop()
        self._models.clear()
