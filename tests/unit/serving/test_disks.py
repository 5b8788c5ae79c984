"""A disk without room is named, wherever it is."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autobot.serving.disks import Disks

SIZE = 4 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(where)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield where
    subprocess.run(["umount", str(where)], check=True)


async def test_a_disk_with_less_than_a_twentieth_free_is_named_once(small_disk: Path) -> None:
    (small_disk / "cache").mkdir()
    paths = (small_disk, small_disk / "cache", small_disk / "not made yet")
    assert await Disks(*paths).full() == []
    (small_disk / "much").write_bytes(b"x" * (SIZE - SIZE // 25))
    [told] = await Disks(*paths).full()
    assert str(small_disk) in told
    (small_disk / "much").unlink()
    assert await Disks(*paths).full() == []
