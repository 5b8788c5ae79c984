"""Six Debian systems and an operator, on one machine and on no network but their own."""

from __future__ import annotations

import concurrent.futures
import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import cgroups
from .host import LabError, execute
from .image import make_base, make_key, make_own
from .network import OPERATOR, Network
from .vm import VM, Hardware

ROOMS: Mapping[str, str] = {
    "main": "172.16.168.20",
    "frontend": "172.16.168.21",
    "npu": "172.16.168.22",
    "redis": "172.16.168.23",
    "llm": "172.16.168.24",
    "browser": "172.16.168.25",
}
# What runs in a VM comes from this machine's packages, so these are the VMs' packages too.
PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "systemctl": "systemd",
    "dbus-daemon": "dbus",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "sudo": "sudo",
    "rsync": "rsync",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "mkfs.ext4": "e2fsprogs",
}
SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Lab:
    """A lab by its name. Labs of different names share nothing but this machine.

    `rooms` gives each room's address, all in one /24 whose first address is the operator's; without
    it they are those the lab was made with, else the six of the platform. `cache` is this machine's
    folder of downloads, which every VM sees, as its own, at /var/cache/autobot. `root` is what the
    VMs of a new lab have below their disks (`debian.make_root` makes another). Calls block: from
    async code, use a thread.
    """

    def __init__(
        self,
        name: str = "lab",
        *,
        cache: Path | None = None,
        rooms: Mapping[str, str] | None = None,
        hardware: Hardware | None = None,
        home: Path | None = None,
        root: Path = Path("/"),
    ) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise LabError(f"{name!r} is no name for a lab: lower-case letters, digits and dashes")
        labs = home or labs_home()
        self.name = name
        self.home = labs / name
        self._made = self.home / "lab.json"
        self.rooms: dict[str, str] = dict(rooms or self._rooms_made() or ROOMS)
        self.cache = cache or default_cache()
        self.hardware = hardware or Hardware()
        self.root = root
        self.network = Network(name, self.rooms)
        self.key = self.home / "key"
        self._hosts = self.home / "known_hosts"

    @property
    def operator_address(self) -> str:
        """The operator's own address, which is also the VMs' gateway to nowhere."""
        return self.network.gateway

    def vm(self, room: str) -> VM:
        """The machine of a room."""
        if room not in self.rooms:
            raise LabError(f"the lab has no room {room!r}; it has {', '.join(self.rooms)}")
        home = self.home / "vms" / room
        return VM(room, self.rooms[room], home, self.network, self.key, self._hosts)

    def vms(self) -> list[VM]:
        """All machines, in the order of the rooms."""
        return [self.vm(room) for room in self.rooms]

    def missing(self) -> list[str]:
        """Why this machine cannot be a lab, each reason with its remedy; empty when it can."""
        reasons: list[str] = []
        if os.geteuid() != 0:
            reasons.append("root is needed for namespaces and mounts: run it with sudo")
        lacking = sorted({p for c, p in PACKAGES.items() if shutil.which(c, path=SEARCH) is None})
        if lacking:
            reasons.append(f"Debian packages are missing: apt-get install {' '.join(lacking)}")
        if "overlay" not in Path("/proc/filesystems").read_text():
            reasons.append("the kernel has no overlay file system (CONFIG_OVERLAY_FS)")
        if not Path("/dev/loop-control").exists():
            reasons.append("the kernel has no loop devices (CONFIG_BLK_DEV_LOOP)")
        reasons += cgroups.missing()
        release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
        if release < (5, 19):
            reasons.append(f"Linux 5.19 or newer is needed, this is {os.uname().release}")
        routes = execute(["ip", "route", "show", "root", str(self.network.subnet)], check=False)
        if routes.returncode == 0 and routes.stdout.strip():
            reasons.append(f"this machine has a route to {self.network.subnet} of its own")
        return reasons

    def up(self, timeout: float = 120.0) -> None:
        """Boot whatever is not running, all at once, and wait until every VM is done booting.

        Idempotent. A half-dead lab of this name is repaired: its disks are kept. LabError when a
        unit of a new lab failed; what fails on disks used before is for their user to see.
        """
        reasons = self.missing()
        if reasons:
            raise LabError("this machine cannot be a lab: " + "; ".join(reasons))
        with self._locked():
            new = not self._made.exists()
            if new:
                self._tear_down()
                self._build()
            if not self.network.exists():
                self._each(VM.power_off)
                self.network.up()
            self._each(lambda vm: self._boot(vm, timeout, whole=new))

    def down(self) -> None:
        """Stop every process of this lab and remove all of it. Idempotent; LabError if not root."""
        if os.geteuid() != 0:
            raise LabError("root is needed to take a lab down")
        with self._locked():
            self._tear_down()
        self._lock_file().unlink(missing_ok=True)

    def is_up(self) -> bool:
        """Whether all machines are on."""
        return self.network.exists() and all(vm.is_running() for vm in self.vms())

    def operator(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        cwd: Path | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine on the lab's network, where the VMs' addresses are real.

        `env` is added to this process's environment. LabError past `timeout` seconds, and with
        `check` on any exit code but 0.
        """
        inside = [*self.network.inside(OPERATOR), *argv]
        whole = {**os.environ, **(env or {})}
        return execute(inside, timeout=timeout, check=check, env=whole, cwd=cwd, stdin=stdin)

    def operator_popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> subprocess.Popen[str]:
        """Start a program on the lab's network and leave it running; `down` ends it."""
        return subprocess.Popen(
            [*self.network.inside(OPERATOR), *argv],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )

    def _boot(self, vm: VM, timeout: float, *, whole: bool) -> None:
        vm.power_on(timeout)
        state = vm.state(timeout=timeout)
        if whole and state != "running":
            units = vm.shell("systemctl --failed --no-legend --plain", check=False).stdout
            raise LabError(f"{vm.room} booted to state {state}:\n{units}{vm.console()}")

    def _build(self) -> None:
        """Make keys, layers and disks; the file lab.json, written last, says all are there."""
        self.home.mkdir(parents=True)
        self.cache.mkdir(parents=True, exist_ok=True)
        make_key(self.key, f"operator@{self.name}")
        base = self.home / "base"
        make_base(base, Path(f"{self.key}.pub").read_text(), self.root)
        known: list[str] = []
        for vm in self.vms():
            own = vm.home / "own"
            known.append(f"{vm.address} {make_own(own, vm.room, self.rooms)}")
            vm.install(self.root, [base, own], self.cache, self.hardware)
        self._hosts.write_text("".join(known))
        self._made.write_text(json.dumps({"rooms": self.rooms}))

    def _tear_down(self) -> None:
        # By namespace first: that finds even machines whose records were lost.
        self.network.down()
        self._each(VM.power_off)
        if self.home.exists():
            shutil.rmtree(self.home)

    def _rooms_made(self) -> dict[str, str] | None:
        return json.loads(self._made.read_text())["rooms"] if self._made.exists() else None

    def _each(self, act: Callable[[VM], None]) -> None:
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(self.rooms)) as pool:
            results = [pool.submit(act, vm) for vm in self.vms()]
        errors = [error for result in results if (error := result.exception()) is not None]
        if errors:
            raise LabError("; ".join(str(error) for error in errors)) from errors[0]

    def _lock_file(self) -> Path:
        return self.home.with_suffix(".lock")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One `up` or `down` of a lab at a time; the kernel frees the lock of a killed process."""
        self.home.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file().open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def labs_home() -> Path:
    """The folder of all labs of this machine."""
    return Path(os.environ.get("AUTOBOT_LAB_HOME", "/var/lib/autobot-lab"))


def default_cache() -> Path:
    """The folder of downloads that the platform uses on this machine."""
    return Path(os.environ.get("AUTOBOT_CACHE", Path.home() / ".cache/autobot"))
