"""Gives each VM control groups of its own, so that its systemd manages its own processes only.

A VM's systemd keeps its units in the cgroup v2 hierarchy, as Debian 12 does. On a machine that has
v1 as well ("hybrid"), v2 has no controllers: there a VM's memory is limited in the v1 hierarchy.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .host import LabError, wait_until

ROOT = Path("/sys/fs/cgroup")
HYBRID = ("unified", "systemd", "memory", "pids", "cpu", "cpuacct")


def hierarchies() -> list[Path]:
    """The hierarchies in which a VM gets a group."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [ROOT / name for name in HYBRID if (ROOT / name).is_dir()]


def missing() -> list[str]:
    """Why VMs cannot have groups here; empty when they can."""
    if any((hierarchy / "cgroup.controllers").exists() for hierarchy in hierarchies()):
        return []
    return [f"cgroup v2 is mounted neither at {ROOT} nor at {ROOT}/unified"]


def groups(name: str) -> list[Path]:
    """Where the groups of the VM `name` are, made or not."""
    return [hierarchy / name for hierarchy in hierarchies()]


def make(name: str, memory: int | None) -> None:
    """Make one VM's groups; `memory` is its limit in bytes, if it has one.

    LabError when there is a limit to set and no memory controller to set it.
    """
    for group in groups(name):
        group.mkdir(exist_ok=True)
    if memory is not None:
        limit(name, memory)


def limit(name: str, memory: int | None) -> None:
    """Limit one VM's memory to so many bytes; None lifts the limit."""
    for group in groups(name):
        for knob, none in (("memory.max", "max"), ("memory.limit_in_bytes", "-1")):
            if (group / knob).exists():
                (group / knob).write_text(none if memory is None else str(memory))
                return
    raise LabError("this machine has no memory controller, so a VM's memory cannot be limited")


def remove(name: str) -> None:
    """Remove a dead VM's groups with all below them."""
    for group in groups(name):
        if group.is_dir():
            below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
            for path in (*below, group):
                # The kernel lets go of a group some milliseconds after its last process died.
                gone = partial(_removed, path)
                wait_until(f"the removal of the control group {path}", 5, gone, every=0.01)


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
