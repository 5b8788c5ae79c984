"""What one browser may touch on the disk, made and removed so that root follows nobody's links.

A browser's user owns folders only *inside* ``base``, which stays ours: it can fill them and cannot
exchange them. Whatever root does here it does through descriptors of folders that are ours, and it
never opens, makes or changes anything by name below a folder that is somebody else's.
"""

import contextlib
import os
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from deployments.browser.chromium.isolation.accounts import Account

PREFIX = "autobot-browser-"
"""How names of directories that belong to one replica begin; its process id follows."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
REMOVAL_S = 1.0


@dataclass(frozen=True)
class Folders:
    """The folders of one browser, whose processes run as ``account``."""

    base: Path
    account: Account

    @property
    def home(self) -> Path:
        """HOME: empty, and nobody may write to it."""
        return self.base / "home"

    @property
    def config(self) -> Path:
        """What we tell the browser's processes: they read it, and we alone write it."""
        return self.base / "config"

    @property
    def tmp(self) -> Path:
        """The profile and temporary files. No client's file is ever put here."""
        return self.base / "tmp"

    @property
    def files(self) -> Path:
        """Uploads, downloads and recordings: the only place a client can name."""
        return self.base / "files"

    def write(self, name: str, text: str, *, executable: bool = False) -> Path:
        """Make the file ``name`` in `config`, for this browser's processes to read."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        folder = os.open(self.config, DIRECTORY)
        try:
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "w") as file:
                file.write(text)
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), 0, self.account.gid)
                os.fchmod(file.fileno(), 0o550 if executable else 0o440)
        finally:
            os.close(folder)
        return self.config / name

    def remove(self) -> None:
        """Remove everything. A process that is dying may still write: try for a while."""
        deadline = time.monotonic() + REMOVAL_S
        while True:
            _remove(self.base)
            if not self.base.exists() or time.monotonic() > deadline:
                return
            time.sleep(0.1)


def make(purpose: str, account: Account) -> Folders:
    """Make the folders of one browser; their name says which replica they belong to.

    They are under the system's temporary directory: the browser's user cannot enter our home.
    """
    base = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{purpose}-")).resolve()
    descriptor = os.open(base, DIRECTORY)
    try:
        theirs = (account.uid, account.gid) if os.geteuid() == 0 else None
        for name, mode, owner in (
            ("home", 0o555, None),
            ("config", 0o755, None),
            ("tmp", 0o700, theirs),
            ("files", 0o700, theirs),
        ):
            _make_inside(descriptor, name, mode, owner)
        os.fchmod(descriptor, 0o711)
    finally:
        os.close(descriptor)
    return Folders(base, account)


def _make_inside(parent: int, name: str, mode: int, owner: tuple[int, int] | None) -> None:
    os.mkdir(name, 0o700, dir_fd=parent)
    made = os.open(name, DIRECTORY, dir_fd=parent)
    try:
        os.fchmod(made, mode)
        if owner is not None:
            os.fchown(made, *owner)
    finally:
        os.close(made)


def sweep(temporary: Path) -> list[Path]:
    """Remove the folders of replicas that are no more; return which.

    Anybody may make a folder of such a name, so only ours are looked at.
    """
    removed: list[Path] = []
    for left in temporary.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            facts = left.lstat()
            pid = int(left.name[len(PREFIX) :].partition("-")[0])
            mine = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
            if mine and not psutil.pid_exists(pid):
                _remove(left)
                removed.append(left)
    return removed


def _remove(base: Path) -> None:
    """Remove a tree whose top is ours. Below it ``rmtree`` goes by descriptors, not by names."""
    assert shutil.rmtree.avoids_symlink_attacks
    shutil.rmtree(base, ignore_errors=True)
