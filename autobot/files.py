"""Folders that nobody else may enter, proven before anything is put into them.

What lies in a shared folder (`/tmp`) under a name that can be guessed may have been put there by
somebody else: a socket that asks for secrets, a file that is read as ours.
"""

import os
import secrets
import stat
from pathlib import Path

from autobot.errors import SetupError

SHORT = Path("~/.ab")
"""Holds what must have a short path: a Unix socket's has at most 107 bytes."""


def private_folder(path: Path) -> Path:
    """Make ``path`` 0700 and return it; SetupError when it is a link or somebody else's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    # Opened without following a link, so that what is checked is what is changed.
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _not_ours(path) from error
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid():
            raise _not_ours(path)
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(folder, 0o700)
    finally:
        os.close(folder)
    return path


def short_folder() -> Path:
    """Where short paths are: a folder of ours in our own home folder, whatever TMPDIR says."""
    return SHORT.expanduser()


def is_shared(folder: Path) -> bool:
    """Whether others may put files into ``folder``."""
    return bool(folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def refuse_to_run_what_others_wrote(*paths: Path) -> None:
    """SetupError for a program, or a folder of it, that another user owns or may change.

    A group's members are trusted with it: the owner of a shared folder chose them.
    """
    for path in paths:
        found = path.stat()
        open_to_all = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if found.st_uid not in (0, os.geteuid()) or open_to_all:
            raise SetupError(
                f"Other users may change {path}, and what is in it would be run.",
                f"Look who did; then `chown -R` and `chmod -R o-w` {path}.",
            )


def _not_ours(path: Path) -> SetupError:
    return SetupError(f"{path} is not a folder of this user.", f"Look who made it; remove {path}.")


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file atomically; nobody but its owner can read it, not even for a moment.

    ``mode`` is the owner's rights, such as 0o700 for a program; others are given none.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & 0o700)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
