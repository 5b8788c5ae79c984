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


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Its children; psutil raises when one of them ends while it looks, and is asked again."""
    for _ in range(100):
        try:
            return process.children()
        except psutil.NoSuchProcess as error:
            if error.pid == process.pid:
                raise
    raise AssertionError(f"the children of {process} come and go too fast")
