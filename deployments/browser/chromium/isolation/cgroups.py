"""Control groups: one for every Chromium of this replica, with bounds the kernel holds.

Version 2 allows no process in a group whose children have controllers. So the replica's unit, which
systemd has delegated (``Delegate=yes``), is divided in two: ``rest`` takes what runs in it, Ray and
this replica, and ``autobot-chromium-PID`` is for the browsers. Version 1 has a tree for each
controller, and there each group is made below our own.

Where no group can be made the room runs without, and says so.
"""

import contextlib
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path("/sys/fs/cgroup")
OURS = "autobot-chromium-"
REST = "rest"
CPU_PERIOD_US = 100_000
CONTROLLERS = ("memory", "pids", "cpu")
MOVES = 100
"""How often processes are moved before we give up: while we do it they start others."""


@dataclass(frozen=True)
class Bounds:
    """What all browsers of a replica may take together: bytes, processes and threads, CPUs."""

    memory: int
    tasks: int
    cpus: float


@dataclass(frozen=True)
class Cgroup:
    """The groups a browser enters. ``holds`` is what the kernel says they bound; else ``why``."""

    groups: tuple[Path, ...] = ()
    holds: Mapping[str, float] = field(default_factory=dict[str, float])
    why: str = ""

    def told(self, pid: int, proc: Path = Path("/proc")) -> dict[str, float | str]:
        """Return the bounds on process ``pid``, or why there are none: ``missing``."""
        inside = ""
        with contextlib.suppress(OSError):
            inside = (proc / str(pid) / "cgroup").read_text()
        if self.groups and inside.count(f"/{self.groups[0].name}\n") < len(self.groups):
            return {"missing": "the browser is not in its control groups"}
        return dict(self.holds) | ({"missing": self.why} if self.why else {})

    def entrance(self) -> str:
        """Return lines of shell by which a process, as root, enters."""
        files = (shlex.quote(str(group / "cgroup.procs")) for group in self.groups)
        return "".join(f"echo $$ > {file}\n" for file in files)

    def close(self) -> None:
        """Remove the groups; one whose processes are still dying is left to the next replica."""
        for group in self.groups:
            with contextlib.suppress(OSError):
                group.rmdir()


UNCAGED = Cgroup()


def delegated(unit: Path) -> bool:
    """Say whether systemd leaves what is below ``unit`` to us, by its own mark."""
    try:
        return os.getxattr(unit, "user.delegate") == b"1"
    except OSError:
        return False


def prepare(
    bounds: Bounds,
    *,
    root: Path = ROOT,
    own: str | None = None,
    may: Callable[[Path], bool] = delegated,
) -> Cgroup:
    """Make the groups of this replica. ``own`` is what ``/proc/self/cgroup`` says. Never raises."""
    own = Path("/proc/self/cgroup").read_text() if own is None else own
    places = dict(line.split(":", 2)[1:] for line in own.splitlines())
    try:
        if (root / "cgroup.controllers").exists():
            return _version_2(bounds, root / places[""].strip("/"), may)
        return _version_1(bounds, root, places)
    except (OSError, KeyError) as error:
        return Cgroup(why=f"no control group can be made: {error}")


def _version_2(bounds: Bounds, here: Path, may: Callable[[Path], bool]) -> Cgroup:
    unit = here.parent if here.name == REST else here
    if not may(unit):
        return Cgroup(why=f"control group {unit} is not delegated to this room")
    rest = unit / REST
    rest.mkdir(exist_ok=True)
    for _ in range(MOVES):
        pids = (unit / "cgroup.procs").read_text().split()
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (rest / "cgroup.procs").write_text(pid)
    (unit / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
    quota = f"{round(bounds.cpus * CPU_PERIOD_US)} {CPU_PERIOD_US}"
    group = _made(unit)
    limits = {"memory.max": bounds.memory, "pids.max": bounds.tasks, "cpu.max": quota}
    for file, value in limits.items():
        (group / file).write_text(str(value))
    return Cgroup((group,), _held(group, group, group, "cpu.max"))


def _version_1(bounds: Bounds, root: Path, places: Mapping[str, str]) -> Cgroup:
    found = [next((n for n in places if name in n.split(",")), "") for name in CONTROLLERS]
    if not all(found):
        return Cgroup(why="this machine has no control groups for memory, processes and CPU")
    memory, pids, cpu = (_made(root / names / places[names].strip("/")) for names in found)
    (memory / "memory.limit_in_bytes").write_text(str(bounds.memory))
    (pids / "pids.max").write_text(str(bounds.tasks))
    (cpu / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
    (cpu / "cpu.cfs_quota_us").write_text(str(round(bounds.cpus * CPU_PERIOD_US)))
    # Controllers that are mounted together share one directory.
    return Cgroup(tuple(dict.fromkeys((memory, pids, cpu))), _held(memory, pids, cpu, ""))


def _made(parent: Path) -> Path:
    """Make this replica's group in ``parent``, and remove those of replicas that are no more."""
    for left in parent.glob(f"{OURS}*"):
        with contextlib.suppress(OSError, ValueError):
            if not psutil.pid_exists(int(left.name.removeprefix(OURS))):
                left.rmdir()
    group = parent / f"{OURS}{os.getpid()}"
    group.mkdir(exist_ok=True)
    return group


def _held(memory: Path, pids: Path, cpu: Path, one_file: str) -> dict[str, float]:
    """Read back what holds: the kernel rounds, and its word is what we tell."""
    size = memory / ("memory.max" if one_file else "memory.limit_in_bytes")
    if one_file:
        quota, period = (cpu / one_file).read_text().split()
    else:
        quota = (cpu / "cpu.cfs_quota_us").read_text()
        period = (cpu / "cpu.cfs_period_us").read_text()
    return {
        "memory_mib": int(size.read_text()) >> 20,
        "tasks": int((pids / "pids.max").read_text()),
        "cpus": round(int(quota) / int(period), 2),
    }
