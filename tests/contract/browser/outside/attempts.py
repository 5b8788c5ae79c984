"""A process of `child` that tries to get out, and says how each attempt ended."""

import ctypes
import errno
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from deployments.browser.outside.confined import Room

X32 = 0x40000000
REFUSED = (errno.EPERM, errno.EACCES, errno.EFBIG)
"""By the filter, by the rights of nobody, and by the bound of a file."""


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return "refused" if error.errno in REFUSED else str(error)
    return "done"


def call(number: int) -> None:
    """A system call without arguments that matter; raises `OSError` when it is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, 2, 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def connect(port: int) -> None:
    with socket.socket() as one:
        one.connect(("127.0.0.1", port))


def main() -> None:
    parent = os.getppid()
    room = Room()
    target = Path(room.job["folder"]) / "written"
    attempts: dict[str, Callable[[], object]] = {
        "connects": lambda: connect(room.job["port"]),
        "connects by IPv6": lambda: socket.socket(socket.AF_INET6),
        "connects to a service's socket": lambda: socket.socket(socket.AF_UNIX),
        "connects by the calls' other names": lambda: call(X32 + 41),
        "opens a ring": lambda: call(425),
        "runs a program": lambda: os.execv("/bin/true", ["true"]),
        "signals its parent": lambda: os.kill(parent, signal.SIGCONT),
        "writes a file": lambda: target.write_text("x"),
    }
    room.answer({name: outcome(attempt) for name, attempt in attempts.items()})


if __name__ == "__main__":
    main()
