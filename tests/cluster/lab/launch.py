"""One lab VM's supervisor: mounts the VM's disk and root, then runs systemd-nspawn on it.

Run as `launch.py PLAN.json`. All mounts are made in a mount namespace of this process's own, so
they end with it, however it ends: a killed lab leaves no mount and no loop device behind.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
MS_REC = 0x4000
MS_SLAVE = 1 << 19
OPEN_TREE = 428
MOVE_MOUNT = 429
MOUNT_SETATTR = 442
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
MOUNT_ATTR_IDMAP = 0x0010_0000
PR_SET_PDEATHSIG = 1
OPEN_FILES = 524_288
# What nspawn exits with, under --keep-unit, for its service manager to start it anew.
REBOOTED = 133

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Plan:
    """Where one VM's parts are. Every path is of this machine, as are the ids of the cache."""

    machine: str
    disk: str
    disk_at: str
    root: str
    layers: list[str]
    root_at: str
    cache: str
    cache_at: str
    cache_ids: list[int]
    autobot_ids: list[int]
    namespace: str
    shm_bytes: int
    memory: int | None
    cgroups: list[str]

    def save(self, path: Path) -> None:
        """Write it where `launch.py` will read it."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))


def checked(result: int, doing: str) -> int:
    """`result`, or OSError with the C library's errno when it is negative."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{doing}: {os.strerror(error)}")
    return result


def mount(kind: str, source: str, target: str, options: str) -> None:
    """mount(8), which sets up the loop device where one is needed."""
    subprocess.run(["mount", "-t", kind, "-o", options, source, target], check=True)


def overlay(lower: str, upper: Path, target: str) -> None:
    """Mount an overlay whose writes go below `upper`."""
    for part in ("upper", "work"):
        (upper / part).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work"
    mount("overlay", "overlay", target, options)


def install(layers: list[str], upper: Path) -> None:
    """Put the layers on a new disk, all or nothing.

    They cannot be layers of the overlay itself: they may lie below its root.
    """
    if upper.exists():
        return
    new = upper.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for layer in layers:
        subprocess.run(["cp", "-a", f"{layer}/.", str(new)], check=True)
    new.rename(upper)


def user_namespace(ids: list[int], shown_as: list[int]) -> int:
    """A descriptor of a user namespace that shows the owner `ids` (uid, gid) as `shown_as`."""
    ready, go_on = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_on[1])
        _libc.unshare(CLONE_NEWUSER)
        os.write(ready[1], b"x")
        os.read(go_on[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    for kind, real, shown in zip(("uid", "gid"), ids, shown_as, strict=True):
        Path(f"/proc/{child}/{kind}_map").write_text(f"{real} {shown} 1")
    fd = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    os.close(go_on[1])
    os.waitpid(child, 0)
    return fd


def bind_owned(source: str, target: str, ids: list[int], shown_as: list[int]) -> None:
    """Bind `source` at `target` with the files of owner `ids` seen as files of `shown_as`."""
    tree = _libc.syscall(OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE)
    checked(tree, f"cannot clone the mount of {source}")
    users = user_namespace(ids, shown_as)
    attr = (ctypes.c_uint64 * 4)(MOUNT_ATTR_IDMAP, 0, 0, users)
    done = _libc.syscall(
        MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attr), ctypes.sizeof(attr)
    )
    checked(done, f"cannot map the owner of {source} (Linux 5.19 is needed)")
    done = _libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
    checked(done, f"cannot mount {source} at {target}")
    os.close(tree)
    os.close(users)


def assemble(plan: Plan) -> None:
    """Leave this process in a mount namespace where the VM's root is complete."""
    checked(_libc.unshare(CLONE_NEWNS), "no mount namespace of my own")
    checked(_libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None), "cannot stop propagation")
    mount("ext4", plan.disk, plan.disk_at, "loop,noatime,discard")
    disk = Path(plan.disk_at)
    bind_owned(plan.cache, plan.cache_at, plan.cache_ids, plan.autobot_ids)
    install(plan.layers, disk / "root/upper")
    overlay(plan.root, disk / "root", plan.root_at)
    writes = disk / "cache/upper"
    if not writes.exists():
        writes.mkdir(parents=True)
        os.chown(writes, *plan.autobot_ids)
    overlay(plan.cache_at, disk / "cache", f"{plan.root_at}/var/cache/autobot")


def nspawn(plan: Plan) -> list[str]:
    """The command that boots the assembled root as a machine of its own."""
    # Debian's own limits, as far as this machine may give them.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    open_files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    return [
        "systemd-nspawn",
        f"--directory={plan.root_at}",
        f"--machine={plan.machine}",
        "--boot",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--console=read-only",
        f"--network-namespace-path={plan.namespace}",
        "--capability=CAP_NET_ADMIN",
        f"--rlimit=NOFILE=1024:{open_files}",
        f"--tmpfs=/dev/shm:mode=1777,nosuid,nodev,size={plan.shm_bytes}",
    ]


def boot(plan: Plan) -> int:
    """Run the machine until it goes off or reboots; nspawn's exit code tells which."""
    supervisor = os.getpid()

    def join() -> None:
        # Whoever cuts this process off cuts the machine off.
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os.kill(os.getpid(), signal.SIGKILL)
        for group in plan.cgroups:
            Path(group, "cgroup.procs").write_text(str(os.getpid()))

    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        # Debian 12 keeps /tmp on the disk, where a full disk is felt.
        "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
    }
    # A process of its own, made by fork: what `join` does must be done in it.
    return subprocess.Popen(nspawn(plan), env=environment, preexec_fn=join).wait()


def main() -> int:
    """Stays until the machine goes off; a machine that reboots is booted again."""
    plan = Plan.load(Path(sys.argv[1]))
    assemble(plan)
    while True:
        code = boot(plan)
        if code != REBOOTED:
            return code


if __name__ == "__main__":
    sys.exit(main())
