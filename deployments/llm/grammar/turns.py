"""Grammars are made one at a time, and API keys take turns.

Making one may take seconds of a thread, during which the event loop waits for the interpreter lock
again and again.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from autobot.concurrency import ConcurrencyLimiter
from deployments.llm.engine import WAITING, WAITING_EACH, Schema

Made = TypeVar("Made")
SLOTS = 4
"""Whoever would have a slot of the engine at once may wait here, too."""


class Turns:
    def __init__(self) -> None:
        self._limiter = ConcurrencyLimiter(
            1, WAITING + SLOTS, waiting_each=WAITING_EACH + SLOTS, what="schemas"
        )

    async def make(self, made_of: Callable[[Schema], Made], schema: Schema, caller: str) -> Made:
        """``made_of(schema)``, in a thread. Raises `Busy`, and what that raises."""
        await self._limiter.acquire(caller)
        task = asyncio.ensure_future(asyncio.to_thread(made_of, schema))

        def ended(task: asyncio.Task[Made]) -> None:
            # A turn ends with its work: a thread goes on when its caller hangs up.
            self._limiter.release(caller)
            if not task.cancelled():
                task.exception()  # nobody may be there to take it

        task.add_done_callback(ended)
        return await asyncio.shield(task)
