"""An event loop whose time is made: nothing sleeps, and an hour passes in an instant."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NoSelector(selectors.SelectSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen")
        self.loop.elapsed += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Instead of waiting for the next timer it sets its clock to it."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        selector = _NoSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, and end what it left behind."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


def elapsed() -> float:
    """Return the loop's time in seconds."""
    return asyncio.get_running_loop().time()


def virtually(test: Any) -> Any:
    """Let a coroutine function be a test in made time."""

    def run() -> None:
        work: Coroutine[Any, Any, None] = test()
        run_virtually(work)

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run
