"""Questions to Ray's control store, which blocks who asks for as long as room main is away."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Threads of their own: in those that all else uses six questions without an answer would stop
# everything that a replica does in a thread, its health among it.
_threads = ThreadPoolExecutor(8, thread_name_prefix="control-store")


async def ask(question: Callable[[], T]) -> T:
    """Return what ``question`` returns, in a thread. Has no deadline of its own."""
    return await asyncio.get_running_loop().run_in_executor(_threads, question)
