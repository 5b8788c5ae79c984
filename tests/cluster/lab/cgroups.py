"""Gives each VM control groups of its own, so that its systemd manages its own processes only.

Without them every VM's systemd would find the others' units in the group that all were started in.
On a machine with cgroup v1 these are one group per controller; with v2 it is one group.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .host import LabError, wait_until

ROOT = Path("/sys/fs/cgroup")
# v1: where a VM's systemd keeps its units (both, when hybrid); the others count and limit.
V1 = ("unified", "systemd", "memory", "pids", "cpu", "cpuacct")


def is_v2() -> bool:
    """Whether the machine has the one unified hierarchy at /sys/fs/cgroup."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The hierarchies in which a VM gets a group."""
    return [ROOT] if is_v2() else [ROOT / name for name in V1 if (ROOT / name).is_dir()]


def missing() -> list[str]:
    """Why VMs cannot have groups here; empty when they can."""
    if is_v2() or (ROOT / "systemd" / "cgroup.procs").exists():
        return []
    return ["neither cgroup v2 nor a v1 hierarchy named systemd is mounted below /sys/fs/cgroup"]


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
        _limit(groups(name), memory)


def _limit(own: list[Path], memory: int) -> None:
    for group in own:
        for knob in ("memory.max", "memory.limit_in_bytes"):
            if (group / knob).exists():
                (group / knob).write_text(str(memory))
                return
    raise LabError("this machine has no memory controller, so a VM's memory cannot be limited")


def remove(name: str) -> None:
    """Remove a dead VM's groups with all below them."""
    for group in groups(name):
        if group.is_dir():
            below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
            for path in (*below, group):
                # The kernel lets go of a group some milliseconds after its last process died.
                wait_until(f"the control group {path} is gone", 5, partial(_removed, path))


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
