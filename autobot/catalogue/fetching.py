"""Bringing one entry from one source: a few downloads at a time, resumed, verified, atomic."""

import asyncio
import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from autobot.catalogue.archives import Archive, NotAsPromised
from autobot.catalogue.clients import Client, NpmPack, Pip
from autobot.catalogue.entries import Entry
from autobot.catalogue.http import HuggingFaceHub
from autobot.catalogue.progress import Tracker
from autobot.catalogue.sources import File, HuggingFace, Source
from autobot.catalogue.staging import Staging
from autobot.errors import SetupError

AT_ONCE = 3
SPARE_BYTES = 64 << 20
_WATCH_S = 0.25


def _registries() -> dict[str, Client]:
    return {"pypi": Pip(), "npm": NpmPack()}


@dataclass(frozen=True)
class Carriers:
    """The ways to the outside; tests put others in their place."""

    registries: Mapping[str, Client] = field(default_factory=_registries)
    hub: HuggingFaceHub = field(default_factory=HuggingFaceHub)


async def fetch_from(
    source: Source, entry: Entry, staging: Staging, carriers: Carriers, tracker: Tracker
) -> None:
    """Leave all files of `entry` verified in their place.

    Raises CarrierError when this source cannot give them (NotAsPromised: gave something else, of
    which nothing is kept), SetupError when the disk cannot hold them.
    """
    files = {file.path: file for file in entry.files}
    archives = [] if isinstance(source, HuggingFace) else source.archives(files)
    check_disk(entry, staging, [a for a in archives if not staging.has(a)])
    staging.folder.mkdir(parents=True, exist_ok=True)
    _sweep(staging.folder)
    try:
        if isinstance(source, HuggingFace):
            for file in entry.files:
                await _from_hub(source, file, staging, carriers.hub, tracker)
        else:
            await _from_registry(archives, staging, carriers.registries, tracker)
        for file in entry.files:
            await in_thread(lambda stop, file=file: staging.finish(file, stop))
    except NotAsPromised:
        staging.discard()
        raise


def check_disk(entry: Entry, staging: Staging, archives: list[Archive]) -> None:
    """Raises SetupError when the cache's disk cannot hold what is still missing."""
    there = sum(
        part.stat().st_blocks * 512 for f in entry.files if (part := staging.part(f)).exists()
    )
    passing = sum(sorted((a.archive_size for a in archives), reverse=True)[:AT_ONCE])
    needed = max(entry.size - there, 0) + passing + SPARE_BYTES
    folder = next(path for path in (staging.folder, *staging.folder.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise no_space(entry, folder, f"needs {needed >> 20} MiB, {free >> 20} MiB are free")


def no_space(entry: Entry, folder: Path, why: str) -> SetupError:
    """Return the error to raise; ``why`` ends its sentence and says what was needed."""
    return SetupError(
        f"No room for {entry.name} on the disk of {folder}: {why}.",
        "Free some space, or point AUTOBOT_CACHE at a larger disk.",
    )


async def _from_registry(
    archives: list[Archive],
    staging: Staging,
    registries: Mapping[str, Client],
    tracker: Tracker,
) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def bring(archive: Archive) -> None:
        async with slots:
            await _bring(archive, staging, registries[archive.registry], tracker)

    tasks = [asyncio.create_task(bring(archive)) for archive in archives]
    try:
        await asyncio.gather(*tasks)
    finally:
        # One failure ends the source: the others must stop writing before anyone cleans up.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _bring(archive: Archive, staging: Staging, client: Client, tracker: Tracker) -> None:
    if staging.has(archive):
        tracker.finished(archive.size, archive.label)
        return
    folder = Path(tempfile.mkdtemp(prefix="get-", dir=staging.folder))
    try:
        tracker.under_way(archive.label, 0, archive.size)
        watcher = asyncio.create_task(_watch(folder, archive, tracker))
        try:
            downloaded = await client.download(archive, folder)
        finally:
            watcher.cancel()
        await in_thread(lambda stop: staging.take(archive, downloaded, stop))
        staging.listed(archive)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tracker.finished(archive.size, archive.label)


async def _watch(folder: Path, archive: Archive, tracker: Tracker) -> None:
    """The clients tell nothing that a program could read, so look at what has arrived."""
    while True:
        await asyncio.sleep(_WATCH_S)
        tracker.under_way(archive.label, _size_below(folder), archive.size)


def _size_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a client moves its files while we look
            total += path.stat().st_size if path.is_file() else 0
    return total


async def _from_hub(
    source: HuggingFace, file: File, staging: Staging, hub: HuggingFaceHub, tracker: Tracker
) -> None:
    place = (source.repo, source.revision, source.paths[file.path])
    label = f"{source.repo}/{source.paths[file.path]}"
    await hub.download(
        place, staging.part(file), file.size, lambda n: tracker.under_way(label, n, file.size)
    )
    tracker.finished(file.size, label)


def _sweep(folder: Path) -> None:
    """Remove what a killed fetch left behind; the entry's lock is held."""
    for leftover in folder.glob("get-*"):
        shutil.rmtree(leftover, ignore_errors=True)


async def in_thread(work: Callable[[Event], None]) -> None:
    """Run blocking `work`; when cancelled, ask it to stop and wait until it has.

    Without the wait a cancelled fetch would go on writing after its lock is released.
    """
    stop = Event()
    task = asyncio.create_task(asyncio.to_thread(work, stop))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({task})
        task.exception()  # InterruptedError is what was asked for
        raise


def is_disk_full(error: OSError) -> bool:
    """Whether the file system has no space left, or this user's quota has none."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
