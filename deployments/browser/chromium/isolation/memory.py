"""Memory: a bound for one page, which Chromium lacks below several gigabytes, and for them all."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import psutil
import structlog

from autobot.errors import AutoBotError
from deployments.browser.chromium.isolation.cgroups import Bounds

log = structlog.get_logger()

PAGE_LIMIT = 1 << 30
MOST_TASKS = 4096
INTERVAL_S = 0.5
MEASURED_EVERY_S = 2.0
PER_SESSION = 72 << 20
"""What a session that has not been measured yet is taken to need; see docs/decisions/browser.md."""
NEWCOMER = 256 << 20
"""Memory beyond the budget for keys without a session: others' pages may have filled all of it."""
PER_CONNECTION = 256 << 20
"""The same for a protocol connection, which has a whole Chromium."""
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def occupied(pid: int) -> int:
    """Return the bytes of memory only this process fills: not files it maps, which are shared."""
    kib = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                kib += int(line.split()[1])
    return kib << 10


def end_oversized(renderers: Iterable[int], limit: int) -> list[int]:
    """Kill the renderers that outgrew ``limit`` bytes; return which. Their pages have crashed."""
    ended: list[int] = []
    for pid in renderers:
        size = occupied(pid)
        if size > limit:
            log.warning("browser.page_too_large", pid=pid, bytes=size, limit=limit)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            ended.append(pid)
    return ended


async def guard(
    busy: Callable[[], bool], renderers: Callable[[], Awaitable[list[int]]], limit: int
) -> None:
    """Watch for ever, while there is something to watch. Cancel to stop."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        if busy():
            # A browser that does not answer is its restarter's concern, not ours.
            with contextlib.suppress(AutoBotError):
                end_oversized(await renderers(), limit)


def machine() -> int:
    """Return the bytes of memory this machine, or its control group, has."""
    bounds = [psutil.virtual_memory().total]
    for name in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number, and no bound
            bounds.append(int(Path(name).read_text()))
    return min(bounds)


def budget(mib: int | None) -> int:
    """Return the bytes sessions may take together: the owner's choice, or half the machine."""
    return mib << 20 if mib else machine() // 2


def bounds(mib: int | None) -> Bounds:
    """Return what the kernel shall hold all browsers to.

    One page may outgrow the budget by `PAGE_LIMIT` before `guard` sees it; a tenth of the CPU is
    left to what watches over them; a page has some twenty threads, a connection two hundred.
    """
    return Bounds(budget(mib) + PAGE_LIMIT, MOST_TASKS, 0.9 * (os.cpu_count() or 1))


def proportional(pids: Iterable[int]) -> int:
    """Return the proportional set size of ``pids`` together: shared memory is counted once."""
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it may end while we look
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
    return kib << 10


def descendants() -> list[int]:
    """Every process this one has started: browsers and their drivers."""
    return [child.pid for child in psutil.Process().children(recursive=True)]


class Meter:
    """Says how many more sessions fit in ``budget`` bytes, by what the present ones take."""

    def __init__(
        self, budget: int, measure: Callable[[], int] = lambda: proportional(descendants())
    ) -> None:
        self.budget = budget
        self.used = 0
        self._measure = measure
        self._unmeasured = 0

    def places(self, newcomer: bool = False) -> int:
        """How many there is room for; ``newcomer`` is a key that has none yet."""
        budget = self.budget + NEWCOMER * newcomer
        return max(0, budget - self.used - self._unmeasured) // PER_SESSION

    def opened(self, estimate: int = PER_SESSION) -> None:
        """Count ``estimate`` bytes for what has just been opened, until it is measured."""
        self._unmeasured += estimate

    async def measure(self) -> None:
        """Measure now; what was opened before now is in the figure."""
        before = self._unmeasured
        self.used = await asyncio.to_thread(self._measure)
        self._unmeasured -= before
