"""Models that are loaded when somebody first asks for them."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")


class OnDemand(Generic[Loaded]):
    """Models by name: each is loaded once, off the event loop, and stays."""

    def __init__(self, load: Callable[[str], Loaded]) -> None:
        self._load = load
        self._loaded: dict[str, Loaded] = {}
        self._loading = asyncio.Lock()

    async def get(self, name: str) -> Loaded:
        """Load ``name`` if need be; raise what loading raises, and try again at the next call."""
        if name not in self._loaded:
            async with self._loading:
                if name not in self._loaded:
                    self._loaded[name] = await asyncio.to_thread(self._load, name)
        return self._loaded[name]

    def preload(self, name: str) -> None:
        """Load ``name`` now. Blocks."""
        self._loaded[name] = self._load(name)

    def all(self) -> list[Loaded]:
        """Return the models loaded so far, first loaded first. Loads none."""
        return list(self._loaded.values())
