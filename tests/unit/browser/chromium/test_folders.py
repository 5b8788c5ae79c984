"""Folders that browsers' users own, and what root does in them while such a user plants links."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.browser.chromium import files
from deployments.browser.chromium.isolation import accounts, folders
from tests.folders import let_in

PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
"""One that any user may run."""
RACER = """
import os, sys
base, secret = sys.argv[1:]
print("ready", flush=True)
while True:  # until it is killed
    for name in ("tmp/profile", "files/upload", "tmp/chromium", "files/server.json", "home/x",
                 "config/x", "config/server.json", "profile", "files", "tmp"):
        path = f"{base}/{name}"
        try: os.rename(path, f"{path}.away")
        except OSError: pass
        try: os.symlink(secret, path)
        except OSError: pass
        try: os.unlink(path)
        except OSError: pass
    for folder in ("tmp", "files"):
        try:
            os.mkdir(f"{base}/{folder}/d"); open(f"{base}/{folder}/d/victim", "w").close()
            os.rename(f"{base}/{folder}/d", f"{base}/{folder}/e")
            os.symlink(os.path.dirname(secret), f"{base}/{folder}/d")
        except OSError: pass
        for leftover in ("d", "e/victim"):
            try: os.unlink(f"{base}/{folder}/{leftover}")
            except OSError: pass
        try: os.rmdir(f"{base}/{folder}/e")
        except OSError: pass
"""


@pytest.fixture
def secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a file of ours that nobody else may read or change."""
    above = let_in(tmp_path_factory.mktemp("ours"))
    above.chmod(0o755)
    victim = above / "victim"
    victim.write_text("secret")
    victim.chmod(0o600)
    yield victim
    facts = victim.stat()
    assert (facts.st_uid, facts.st_mode & 0o777) == (os.geteuid(), 0o600)
    assert victim.read_text() == "secret"
    assert above.stat().st_uid == os.geteuid()


@contextlib.contextmanager
def racing(mine: folders.Folders, secret: Path) -> Iterator[None]:
    """The user of ``mine`` puts links to ``secret`` wherever it can, as fast as it can."""
    command = [PYTHON, "-c", RACER, str(mine.base), str(secret)]
    account = mine.account
    with subprocess.Popen(
        ["setpriv", *account.change(), "--inh-caps=-all", "--", *command],
        stdout=subprocess.PIPE,
        text=True,
    ) as racer:
        try:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
            yield
            assert racer.poll() is None
        finally:
            racer.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give away")
def test_who_owns_the_folders_cannot_make_root_follow_a_link(secret: Path) -> None:
    until = time.monotonic() + 5
    rounds = 0
    while time.monotonic() < until or rounds < 5:
        mine = folders.make("race", accounts.fresh())
        with racing(mine, secret):
            for number in range(50):
                mine.write(f"server{number}.json", "{}")
                with contextlib.suppress(OSError):
                    assert files.read_bounded(mine.files, "upload") != b"secret"
                with contextlib.suppress(OSError):
                    files.remove(mine.files, "upload")
            for path in (mine.home, mine.config):
                assert path.stat().st_uid == 0
            mine.remove()
        mine.remove()
        assert not mine.base.exists()
        rounds += 1


def test_only_inner_folders_belong_to_the_browsers_user() -> None:
    account = accounts.fresh()
    mine = folders.make("test", account)
    try:
        owners = {
            name: (mine.base / name).stat() for name in (".", "home", "config", "tmp", "files")
        }
        if os.geteuid() == 0:
            assert [owners[name].st_uid for name in owners] == [0, 0, 0, account.uid, account.uid]
        assert [oct(facts.st_mode & 0o777) for facts in owners.values()][1:] == [
            "0o555",
            "0o755",
            "0o700",
            "0o700",
        ]
        assert owners["."].st_mode & 0o022 == 0
        with pytest.raises(FileExistsError):
            mine.write("x", "1") and mine.write("x", "2")
    finally:
        mine.remove()
    assert not mine.base.exists()


def test_as_root_each_connection_has_a_user_no_account_has() -> None:
    first, second = accounts.fresh(), accounts.fresh()
    if os.geteuid() == 0:
        assert first.uid != second.uid
        assert accounts.ours().uid not in (first.uid, second.uid, 0)
    else:
        assert first == second == accounts.ours()


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "../x", "a\0b", "x" * 256, "link", "pipe", "d"]
)
def test_only_plain_files_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"."):
        files.read_bounded(tmp_path, name)


def test_a_plain_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert files.read_bounded(tmp_path, "f") == b"12345"
    assert files.read_bounded(tmp_path, "f", limit=4) is None
    files.remove(tmp_path, "f")
    assert not (tmp_path / "f").exists()


def test_only_our_own_folders_of_dead_replicas_are_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead = tmp_path / f"{folders.PREFIX}{ended.pid}-connection-x"
    alive = tmp_path / f"{folders.PREFIX}{os.getpid()}-connection-mine"
    odd = tmp_path / f"{folders.PREFIX}odd"
    elsewhere = tmp_path / "elsewhere"
    for folder in (dead, alive, odd, elsewhere):
        folder.mkdir()
    link = tmp_path / f"{folders.PREFIX}{ended.pid}-connection-link"
    link.symlink_to(elsewhere)
    if os.geteuid() == 0:
        stranger = tmp_path / f"{folders.PREFIX}{ended.pid}-connection-stranger"
        stranger.mkdir()
        os.chown(stranger, 65534, 65534)
    assert folders.sweep(tmp_path) == [dead]
    assert alive.exists()
    assert elsewhere.exists()
    assert os.geteuid() != 0 or stranger.exists()
