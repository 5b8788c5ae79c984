"""A bound on the memory of one page: Chromium has none of its own below several gigabytes."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from autobot.errors import AutoBotError

log = structlog.get_logger()

PAGE_LIMIT = 1 << 30
INTERVAL_S = 0.5


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
            # A browser that does not answer is its keeper's concern, not ours.
            with contextlib.suppress(AutoBotError):
                end_oversized(await renderers(), limit)
