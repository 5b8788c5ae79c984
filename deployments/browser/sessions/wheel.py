"""Who drives a session: its agent, or a person who has taken the wheel."""

import asyncio
import time

from autobot.errors import Conflict
from deployments.browser.errors import WheelTaken

PATIENCE_S = 30.0
"""How long an action waits for the wheel before its caller is told to come again."""
HANDS_OFF_S = 180.0
"""A person who has done nothing for so long has let go."""


class Wheel:
    """Free, or held by one viewer. Actions wait while it is held and go on afterwards."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self._free = asyncio.Event()
        self._free.set()
        self.touched = 0.0
        """When a person last did something, by the monotonic clock."""

    def take(self, viewer: str) -> None:
        """Raises `Conflict` when another person holds it."""
        if self.held() and self.holder != viewer:
            raise Conflict("Another person is driving this session.")
        self.holder = viewer
        self.touched = time.monotonic()
        self._free.clear()

    def release(self, viewer: str) -> None:
        """Let go, so that actions go on; nothing happens when ``viewer`` does not hold it."""
        if self.touch(viewer):
            self._let_go()

    def touch(self, viewer: str) -> bool:
        """Say whether ``viewer`` may act, and that it does."""
        if self.holder == viewer:
            self.touched = time.monotonic()
        return self.holder == viewer

    def held(self) -> bool:
        """Whether a person holds it; one who did nothing for `HANDS_OFF_S` is made to let go."""
        if self.holder is not None and time.monotonic() - self.touched > HANDS_OFF_S:
            self._let_go()
        return self.holder is not None

    async def free(self, patience_s: float) -> None:
        """Wait until nobody holds the wheel; raises `WheelTaken` after ``patience_s``."""
        deadline = time.monotonic() + min(patience_s, PATIENCE_S)
        while self.held():
            left = deadline - time.monotonic()
            if left <= 0:
                raise WheelTaken("A person is driving this session; try again when they let go.")
            try:
                async with asyncio.timeout(min(left, 1.0)):
                    await self._free.wait()
            except TimeoutError:
                continue

    def _let_go(self) -> None:
        self.holder = None
        self._free.set()
