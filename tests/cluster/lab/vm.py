"""One of the lab's machines: its power switch, its cable, its disk, and a way in."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from . import cgroups
from .host import (
    LabError,
    descent,
    execute,
    first_process,
    is_loop_mounted,
    kill,
    open_socket,
    same_process,
    start,
    started_at,
    wait_until,
)
from .image import AUTOBOT_ID, make_disk
from .launch import Plan
from .network import OPERATOR, Network

LAUNCH = Path(__file__).with_name("launch.py")
FILLER = "/var/lib/lab-filler"
USER = "autobot"


@dataclass(frozen=True)
class Hardware:
    """What every VM of a lab has. Sizes in bytes; a VM takes of its disk only what it uses.

    `memory` is a limit that the kernel enforces: past it, a process of the VM is killed. The VM
    does not see it: /proc/meminfo and /proc/uptime there are this machine's, and all its processors
    are the VM's too.
    """

    disk: int = 16 * 2**30
    shared_memory: int = 4 * 2**30
    memory: int | None = None


class VM:
    """A Debian system of the lab, on or off. Its state is on disk: any process can hold one."""

    def __init__(
        self, room: str, address: str, home: Path, network: Network, key: Path, hosts: Path
    ) -> None:
        self.room = room
        self.address = address
        self.home = home
        self._network = network
        self._key = key
        self._hosts = hosts
        # One name for the machine, its namespace and its control groups.
        self._machine = network.namespace(room)
        self._plan = home / "plan.json"
        self._record = home / "supervisor.json"

    def install(self, root: Path, layers: list[Path], cache: Path, hardware: Hardware) -> None:
        """Give it a new disk, and write down what `launch.py` has to assemble for it."""
        for folder in ("disk", "root", "cache"):
            (self.home / folder).mkdir(parents=True)
        make_disk(self.home / "disk.img", hardware.disk)
        owner = cache.stat()
        plan = Plan(
            machine=self._machine,
            disk=str(self.home / "disk.img"),
            disk_at=str(self.home / "disk"),
            root=str(root),
            layers=[str(layer) for layer in layers],
            root_at=str(self.home / "root"),
            cache=str(cache),
            cache_at=str(self.home / "cache"),
            cache_ids=[owner.st_uid, owner.st_gid],
            autobot_ids=[AUTOBOT_ID, AUTOBOT_ID],
            namespace=str(self._network.path(self.room)),
            shm_bytes=hardware.shared_memory,
            memory=hardware.memory,
            cgroups=[str(group) for group in cgroups.groups(self._machine)],
        )
        plan.save(self._plan)

    # Power

    def power_on(self, timeout: float = 60.0) -> None:
        """Boot it and wait until its SSH server answers. Nothing to do when it is on."""
        if self.is_running():
            return
        # One that switched itself off a moment ago may not have let go of its disk.
        self._wait_for_disk()
        plan = Plan.load(self._plan)
        cgroups.make(self._machine, plan.memory)
        with (self.home / "console.log").open("ab") as console:
            argv = [sys.executable, str(LAUNCH), str(self._plan)]
            supervisor = start(argv, stdout=console.fileno(), stderr=console.fileno())
        record = {"pid": supervisor.pid, "created": started_at(supervisor.pid)}
        self._record.write_text(json.dumps(record))
        self._wait_for_ssh(timeout)

    def power_off(self) -> None:
        """Cut the power: every process in it is killed at once, nothing is told to stop.

        What it had written stays on its disk. So do writes that it never synced: they are in this
        machine's memory, and this machine goes on. Data lost for want of fsync is not seen here.
        """
        supervisor = self._supervisor()
        if supervisor is not None:
            # The machine's PID 1 is killed last of these, and with it all that it started.
            kill([supervisor, *descent(supervisor)])
        cgroups.remove(self._machine)
        self._record.unlink(missing_ok=True)
        self._wait_for_disk()

    def reboot(self, timeout: float = 90.0) -> None:
        """Shut it down in order, boot it again, and wait until its SSH server answers."""
        before = self._running_leader()
        self.shell("systemctl reboot", timeout=timeout, check=False)
        deadline = time.monotonic() + timeout
        wait_until(
            f"{self.room}'s shutdown",
            timeout,
            lambda: same_process(before.pid, before.create_time()) is None,
        )
        if self._supervisor() is None:
            raise LabError(f"{self.room} went off instead of rebooting:\n{self.console()}")
        self._wait_for_ssh(max(1.0, deadline - time.monotonic()))

    def limit_memory(self, size: int | None) -> None:
        """Have `size` bytes of memory from now until it is next off; None: all there is."""
        cgroups.limit(self._machine, size)

    def is_running(self) -> bool:
        """Whether its power is on; it may still be booting."""
        return self._supervisor() is not None

    def state(self, *, wait: bool = True, timeout: float = 60.0) -> str:
        """What its systemd says: `running`, `degraded`, ...; or `off`.

        With `wait`, what it says when it has done booting: `starting` is not among them.
        """
        if not self.is_running():
            return "off"
        argv = ["systemctl", "is-system-running", *(["--wait"] if wait else [])]
        told = self.shell(argv, timeout=timeout, check=False)
        return told.stdout.strip() or "unknown"

    # A way in

    def run(
        self,
        command: str | Sequence[str],
        *,
        user: str = USER,
        timeout: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command by SSH from the operator, as `autobot` or, through sudo, another user.

        A list is one command and its arguments; a string is for the user's shell. LabError past
        `timeout` seconds, and with `check` on any exit code but 0 (255: SSH itself failed).
        """
        line = command if isinstance(command, str) else shlex.join(command)
        if user != USER:
            line = shlex.join(["sudo", "-n", "-u", user, "-i", "--", "sh", "-c", line])
        argv = [*self._network.inside(OPERATOR), *self.ssh(), line]
        return execute(argv, timeout=timeout, check=check, stdin=stdin)

    def ssh(self) -> list[str]:
        """The `ssh` command, to which a remote command can be added; for the operator's use."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self._hosts),
        }
        flags = [flag for key, value in options.items() for flag in ("-o", f"{key}={value}")]
        return ["ssh", "-F", "none", "-i", str(self._key), *flags, f"{USER}@{self.address}"]

    def shell(
        self,
        command: str | Sequence[str],
        *,
        user: str = "root",
        timeout: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Like `run`, but by the machine's console: no network, no SSH server needed."""
        argv = [*self.console_argv(user), "-c"]
        line = command if isinstance(command, str) else shlex.join(command)
        return execute([*argv, line], timeout=timeout, check=check, stdin=stdin)

    def console_argv(self, user: str = "root") -> list[str]:
        """The command that opens a shell of `user` in it without the network."""
        leader = str(self._running_leader().pid)
        enter = ["nsenter", "-t", leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
        clean: Mapping[str, str] = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM": os.environ.get("TERM", "dumb"),
        }
        enter += ["env", "-i", *(f"{key}={value}" for key, value in clean.items())]
        return [*enter, "runuser", "-l", user] if user != "root" else [*enter, "HOME=/root", "sh"]

    def console(self, last: int = 3000) -> str:
        """The last characters its console showed."""
        log = self.home / "console.log"
        return log.read_text(errors="replace")[-last:] if log.exists() else ""

    # Its cable

    def partition(self) -> None:
        """Pull its network cable: it runs on, alone."""
        self._network.plug(self.room, connected=False)

    def heal(self) -> None:
        """Put its network cable back."""
        self._network.plug(self.room, connected=True)

    def cable(self) -> str:
        """How its cable is: `good`, `slow`, `pulled`, or `none` when the lab is down."""
        return self._network.cable(self.room)

    def slow(self, delay_ms: float = 0.0, loss_pct: float = 0.0) -> None:
        """Make its cable a bad one, delaying and losing frames each way; zeros make it good."""
        self._network.slow(self.room, delay_ms, loss_pct)

    # Its disk

    def fill_disk(self, size: int | None = None) -> None:
        """Take `size` bytes of its disk, or all that is left, to the last block.

        Files keep the rest of the block they end in: a few KiB may still be appended to one.
        """
        if size is not None:
            self.shell(["fallocate", "-l", str(size), FILLER])
            return
        free = self.free_bytes()
        self.shell(f"fallocate -l {max(1, free - 2**20)} {FILLER}", check=False)
        # What is then left goes in ever smaller writes, by root and so with the blocks that are
        # kept for it: a write that does not fit whole is refused. Others give blocks back
        # meanwhile, so it is full when not even one more block is to be had.
        rest = f"dd if=/dev/zero of={FILLER}-rest oflag=append conv=notrunc bs="
        one = f"! {rest}4K count=1"
        self.shell(f"for n in $(seq 20); do {rest}64K; {rest}4K; {one} && exit; done; exit 1")

    def free_disk(self) -> None:
        """Give back what `fill_disk` took."""
        self.shell(f"rm -f {FILLER} {FILLER}-rest")

    def free_bytes(self) -> int:
        """What is left of its disk."""
        return int(self.shell("df --output=avail -B1 / | tail -1").stdout)

    def _wait_for_disk(self) -> None:
        disk = self.home / "disk.img"
        wait_until(f"the release of {disk}", 10, lambda: not is_loop_mounted(disk), every=0.01)

    def _wait_for_ssh(self, timeout: float) -> None:
        def answers() -> bool:
            if not self.is_running():
                raise LabError(f"{self.room} went off while booting")
            namespace = self._network.path(self.room)
            try:
                # From within: a machine whose cable is pulled must boot too.
                with open_socket(namespace, self.address, 22, 1.0) as talk:
                    return talk.recv(4) == b"SSH-"
            except OSError:
                return False

        try:
            wait_until(f"{self.room}'s SSH server", timeout, answers, every=0.1)
        except LabError as error:
            raise LabError(f"{error}; its console said:\n{self.console()}") from error

    def _supervisor(self) -> psutil.Process | None:
        try:
            record = json.loads(self._record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return same_process(record["pid"], record["created"])

    def _running_leader(self) -> psutil.Process:
        supervisor = self._supervisor()
        leader = None if supervisor is None else first_process(supervisor)
        if leader is None:
            raise LabError(f"{self.room} is off")
        return leader
