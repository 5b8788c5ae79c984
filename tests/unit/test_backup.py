"""A backup is verified before anything is touched, and nothing is lost by restoring."""

import errno
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autobot import backup
from autobot.backup import pack, restore, unpack
from autobot.errors import Conflict, Invalid
from autobot.files import write_private
from autobot.settings import Settings

SNAPSHOT = b"REDIS0012" + bytes(range(256))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "backup.tar.gz"
    path.write_bytes(pack(SNAPSHOT))
    return path


def test_what_was_packed_comes_back(file: Path) -> None:
    manifest, snapshot = unpack(file)
    assert snapshot == SNAPSHOT
    assert manifest.size == len(SNAPSHOT)


def test_restore_makes_the_snapshot_the_base_of_the_append_only_file(
    settings: Settings, file: Path
) -> None:
    restore(settings, file)
    folder = settings.data_dir / "redis" / "appendonlydir"
    assert (folder / "appendonly.aof.1.base.rdb").read_bytes() == SNAPSHOT
    assert "appendonly.aof.1.base.rdb" in (folder / "appendonly.aof.manifest").read_text()


def test_restore_over_data_needs_force_and_keeps_what_was_there(
    settings: Settings, file: Path
) -> None:
    data = settings.data_dir / "redis"
    data.mkdir(parents=True)
    (data / "old").write_text("precious")
    with pytest.raises(Conflict):
        restore(settings, file)
    assert (data / "old").read_text() == "precious"
    restore(settings, file, force=True)
    assert (data.with_name("redis.before-restore") / "old").read_text() == "precious"


def test_a_restore_that_failed_and_is_done_again_keeps_the_data_from_before_both(
    settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = settings.data_dir / "redis"
    data.mkdir(parents=True)
    (data / "old").write_text("precious")
    with monkeypatch.context() as patch:
        patch.setattr(backup, "write_private", write_the_first_file_only())
        with pytest.raises(OSError, match="No space"):
            restore(settings, file, force=True)
    assert (data / "old").read_text() == "precious"
    restore(settings, file, force=True)
    assert (data.with_name("redis.before-restore") / "old").read_text() == "precious"
    assert (data / "appendonlydir" / "appendonly.aof.1.base.rdb").read_bytes() == SNAPSHOT
    assert sorted(each.name for each in data.parent.iterdir()) == ["redis", "redis.before-restore"]


def write_the_first_file_only() -> Callable[[Path, bytes], None]:
    """Return what writes files until the disk is full, which it is after the first."""
    written: list[Path] = []

    def write(path: Path, content: bytes) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write_private(path, content)

    return write


def test_damaged_and_foreign_files_are_refused_untouched(
    settings: Settings, tmp_path: Path
) -> None:
    whole = pack(SNAPSHOT)
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"hello"), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(Invalid):
            restore(settings, path)
    assert not settings.data_dir.exists()


def test_a_changed_snapshot_is_refused(tmp_path: Path, file: Path) -> None:
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "x")  # noqa: S202  our own; 3.11.2 knows no filter
    (tmp_path / "x" / "dump.rdb").write_bytes(SNAPSHOT + b"!")
    forged = tmp_path / "forged.tar.gz"
    with tarfile.open(forged, "w:gz") as archive:
        for member in (tmp_path / "x").iterdir():
            archive.add(member, member.name)
    with pytest.raises(Invalid, match="damaged"):
        unpack(forged)
