"""Whether this machine's disks have room left: a full one stops what writes, and nothing else."""

import asyncio
import os
import time
from pathlib import Path

LEAST_FREE = 0.05
LOOKED_AT_EVERY_S = 5.0


class Disks:
    """The file systems of ``paths``; several paths of one count once."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._looked = -LOOKED_AT_EVERY_S
        self._full: list[str] = []

    async def full(self) -> list[str]:
        """A sentence for each that has less than `LEAST_FREE` left; looks now and then."""
        now = time.monotonic()
        if now - self._looked >= LOOKED_AT_EVERY_S:
            self._looked = now
            self._full = await asyncio.to_thread(full_disks, self._paths)
        return self._full


def full_disks(paths: tuple[Path, ...]) -> list[str]:
    """Return a sentence for each file system that has less than `LEAST_FREE` left. It may block.

    A path that cannot be looked at, such as one that is not made yet, is left out.
    """
    seen: dict[int, str] = {}
    for path in paths:
        try:
            device, disk = path.stat().st_dev, os.statvfs(path)
        except OSError:  # not made yet
            continue
        free = disk.f_bavail / disk.f_blocks if disk.f_blocks else 1.0
        if free < LEAST_FREE:
            seen.setdefault(device, f"the disk of {path} is full ({free:.1%} free)")
    return list(seen.values())
