"""What anybody may ask for without a key is worked out once for all who ask at about one time."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """What ``make`` gave in the last ``seconds``; else it is asked again, by one at a time."""

    def __init__(self, make: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._made: list[T] = []
        self._at = -math.inf
        self._making = asyncio.Lock()

    async def get(self) -> T:
        """Return what is remembered, or wait for it. What ``make`` raises is not remembered."""
        async with self._making:
            if not self._made or time.monotonic() - self._at > self._seconds:
                self._made = [await self._make()]
                self._at = time.monotonic()
            return self._made[0]
