"""Asking processes that may end while they are asked."""

import psutil


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie has ended and only waits for its parent to notice."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_of(process: psutil.Process) -> list[str]:
    """Its arguments; none of one that is over."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
