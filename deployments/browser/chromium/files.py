"""Reading files that a browser's user wrote: bounded, and never through a link it planted."""

import os
import stat
from pathlib import Path

MAX_FILE_BYTES = 64 << 20
MAX_NAME = 255
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without waiting: a pipe that was put in a file's place has no writer."""


def plain(name: str) -> bool:
    """Say whether ``name`` is a file's name and no way to another folder."""
    return (
        0 < len(name.encode(errors="surrogatepass")) <= MAX_NAME
        and name not in (".", "..")
        and not any(letter in "/\\" or letter < " " or letter == "\x7f" for letter in name)
    )


def read_bounded(folder: Path, name: str, limit: int = MAX_FILE_BYTES) -> bytes | None:
    """Return the bytes of ``name`` in ``folder``, or None when there are more than ``limit``.

    Raises OSError for what is no plain file directly in ``folder``: we may read more than the user
    who made it, and whoever tells us the name may be that user.
    """
    if not plain(name):
        raise FileNotFoundError(f"{name[:100]!r} is no file's name.")
    above = os.open(folder, FOLDER)
    try:
        descriptor = os.open(name, FILE, dir_fd=above)
    finally:
        os.close(above)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(f"{name[:100]!r} is no file.")
        body = file.read(limit + 1)
    return body if len(body) <= limit else None


def remove(folder: Path, name: str) -> None:
    """Remove the entry ``name`` of ``folder``, itself and not what it leads to. Raises OSError."""
    if not plain(name):
        raise FileNotFoundError(f"{name[:100]!r} is no file's name.")
    above = os.open(folder, FOLDER)
    try:
        os.unlink(name, dir_fd=above)
    finally:
        os.close(above)
