"""Where files grow until they are whole and verified, and what survives an interruption.

`downloads/ENTRY/CARRIER/` in the cache holds `FILE.part` and `done.json`, the list of pieces that
are in their place. A piece is listed only after its bytes are on the disk and matched its sha256.
"""

import json
import os
import shutil
from pathlib import Path
from threading import Event

from autobot.catalogue.archives import Archive, NotAsPromised, Piece, extract, sha256_of
from autobot.catalogue.sources import File


class Staging:
    """The growing files of one entry from one source."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._home = home
        self._journal = folder / "done.json"
        self._done = self._read()

    @property
    def folder(self) -> Path:
        """It is below ``downloads/`` of the cache. The first fetch makes it."""
        return self._folder

    def part(self, file: File) -> Path:
        """Return where ``file`` grows until `finish` moves it; it need not exist yet."""
        return self._folder / f"{file.path}.part"

    def has(self, archive: Archive) -> bool:
        """Whether nothing of this archive is needed any more."""
        return all(
            _key(piece) in self._done or (self._home / piece.file).exists()
            for piece in archive.pieces
        )

    def take(self, archive: Archive, downloaded: Path, stop: Event) -> None:
        """Put the archive's pieces in place. Raises as `extract` does; blocking."""
        extract(archive, downloaded, self._folder, stop)

    def listed(self, archive: Archive) -> None:
        """Remember that the pieces are in place."""
        self._done |= {_key(piece) for piece in archive.pieces}
        write_atomically(self._journal, json.dumps(sorted(self._done)))

    def finish(self, file: File, stop: Event) -> None:
        """Verify one whole file and move it to its place; blocking.

        Raises NotAsPromised when its size or sha256 is not the catalogue's; nothing has moved then.
        """
        part, final = self.part(file), self._home / file.path
        if final.exists():
            return
        size = part.stat().st_size
        digest = sha256_of(part, stop) if size == file.size else ""
        if digest != file.sha256:
            found = f"sha256 {digest}" if digest else f"{size} bytes"
            wanted = file.sha256 if digest else f"{file.size} bytes"
            raise NotAsPromised(f"{file.path} has {found}, not {wanted}")
        part.chmod(0o755 if file.executable else 0o644)
        final.parent.mkdir(parents=True, exist_ok=True)
        part.replace(final)
        sync_folder(final.parent)

    def discard(self) -> None:
        """Remove all that has arrived from this source; finished files stay in their place."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._done = set()

    def _read(self) -> set[str]:
        """The finished pieces whose file is still there."""
        try:
            keys = set[str](json.loads(self._journal.read_text("utf-8")))
        except (OSError, ValueError):
            return set()
        return {k for k in keys if (self._folder / f"{k.partition('@')[2]}.part").exists()}


def _key(piece: Piece) -> str:
    # The digest is part of it: a catalogue with another part in this place fetches it again.
    return f"{piece.offset}:{piece.sha256}@{piece.file}"


def write_atomically(path: Path, text: str) -> None:
    """Replace the file so that readers and a power cut see the old text or the new one.

    For one writer at a time: two would share the temporary file ``NAME.new``.
    """
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
