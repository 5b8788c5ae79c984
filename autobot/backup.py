"""A backup is one tar.gz: Redis' own snapshot and a manifest with its SHA-256.

Restoring puts the snapshot where Redis, which runs from its append-only file, starts from: as the
base of a new append-only file.
"""

import hashlib
import io
import json
import shutil
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from autobot import __version__
from autobot.errors import Conflict, Invalid
from autobot.files import write_private
from autobot.settings import Settings

SNAPSHOT = "dump.rdb"
MANIFEST = "manifest.json"
AOF_DIR = "appendonlydir"
RDB_MAGIC = b"REDIS"


class Manifest(BaseModel, frozen=True):
    """``created`` is Unix seconds, ``size`` bytes. The values of ``secrets``, names, are not in the
    snapshot."""

    version: str
    created: float
    sha256: str
    size: int
    secrets: tuple[str, ...] = ()


def pack(snapshot: bytes, secrets: Sequence[str] = ()) -> bytes:
    """Return the backup of ``snapshot``, an RDB file of Redis, as the bytes of a tar.gz.

    The manifest carries this version of AutoBot and the time of the call.
    """
    manifest = Manifest(
        version=__version__,
        created=time.time(),
        sha256=hashlib.sha256(snapshot).hexdigest(),
        size=len(snapshot),
        secrets=tuple(secrets),
    )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in (
            (MANIFEST, manifest.model_dump_json(indent=2).encode()),
            (SNAPSHOT, snapshot),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o600, int(manifest.created)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpack(path: Path) -> tuple[Manifest, bytes]:
    """Read and verify a backup; raise Invalid when it is not one or was damaged."""
    try:
        with tarfile.open(path) as archive:
            manifest = Manifest.model_validate(json.loads(_member(archive, MANIFEST)))
            snapshot = _member(archive, SNAPSHOT)
    except (tarfile.TarError, KeyError, ValueError, ValidationError, EOFError) as error:
        raise Invalid(f"{path} is not a backup of AutoBot: {error}") from error
    intact = hashlib.sha256(snapshot).hexdigest() == manifest.sha256
    if not intact or not snapshot.startswith(RDB_MAGIC):
        raise Invalid(f"{path} is damaged: its snapshot does not have the recorded SHA-256.")
    return manifest, snapshot


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def restore(settings: Settings, path: Path, *, force: bool = False) -> Manifest:
    """Put a backup in place of this machine's data; the platform must be down.

    What was there is kept beside it as ``redis.before-restore``. Raises Conflict where there is
    data and ``force`` was not given.
    """
    manifest, snapshot = unpack(path)
    data = settings.data_dir / "redis"
    if data.exists() and any(data.iterdir()) and not force:
        raise Conflict(f"{data} holds data. Restore over it with --force; it is kept beside.")
    new = data.with_name("redis.restoring")
    shutil.rmtree(new, ignore_errors=True)
    write_private(new / AOF_DIR / "appendonly.aof.1.base.rdb", snapshot)
    write_private(
        new / AOF_DIR / "appendonly.aof.manifest",
        b"file appendonly.aof.1.base.rdb seq 1 type b\n",
    )
    # What was kept goes only for what is kept now: a restore that failed, and is done again, must
    # not remove the data that it was to keep.
    if data.exists():
        kept = data.with_name("redis.before-restore")
        shutil.rmtree(kept, ignore_errors=True)
        data.rename(kept)
    new.rename(data)
    return manifest
