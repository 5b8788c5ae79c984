"""What the lab asks of the machine it runs on: commands, processes, deadlines, namespaces."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

NETNS_DIR = Path("/run/netns")
CLONE_NEWNET = 0x4000_0000

_libc = ctypes.CDLL(None, use_errno=True)
# Those that this process started: it is their parent, and must hear of their ends.
_daemons: list[subprocess.Popen[bytes]] = []


class LabError(RuntimeError):
    """The lab could not do what was asked; the message says what, where and why."""


def execute(
    argv: Sequence[str],
    *,
    timeout: float = 30.0,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `argv` in its own session and capture its text.

    Past `timeout` seconds the whole session's process group is killed, so nothing a shell
    started outlives it. Raises LabError on that, and when `check` is set on any exit code but 0.
    """
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=env,
        cwd=cwd,
        start_new_session=True,
    ) as child:
        try:
            out, err = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill_group(child.pid)
            out, err = child.communicate()
            raise LabError(
                f"{_short(argv)} did not end in {timeout:g} s; it had said:\n{(out + err)[-2000:]}"
            ) from None
        except BaseException:
            _kill_group(child.pid)
            raise
    if check and child.returncode != 0:
        raise LabError(
            f"{_short(argv)} failed with exit code {child.returncode}:\n{(out + err)[-2000:]}"
        )
    return subprocess.CompletedProcess(list(argv), child.returncode, out, err)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _short(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return text if len(text) < 300 else text[:300] + "..."


def wait_until(what: str, timeout: float, ready: Callable[[], bool], every: float = 0.05) -> None:
    """Poll `ready` until it is true; LabError that `what` is awaited after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() >= deadline:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(every)


def started_at(pid: int) -> float:
    """The start time that, with the pid, names one process for ever. LabError when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        raise LabError(f"process {pid} ended as soon as it was started") from None


def same_process(pid: int, created: float) -> psutil.Process | None:
    """The process that had `pid` at `created`, or None when it has ended."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > 0.05:
            return None
    except psutil.NoSuchProcess:
        return None
    return process if alive(process) else None


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that only waits for its parent to hear of its end does not."""
    _hear_of_ends()
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start(argv: Sequence[str], *, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, which may outlive this one."""
    daemon = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd="/",
        start_new_session=True,
    )
    _daemons.append(daemon)
    return daemon


def _hear_of_ends() -> None:
    for daemon in tuple(_daemons):
        if daemon.poll() is not None:
            _daemons.remove(daemon)


def kill(processes: Iterable[psutil.Process], timeout: float = 10.0) -> None:
    """SIGKILL each process and wait until all have ended; LabError naming those that stay."""
    doomed = list(processes)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    names = ", ".join(str(process.pid) for process in doomed)
    wait_until(f"the end of {names} by SIGKILL", timeout, lambda: not any(map(alive, doomed)))


def descent(supervisor: psutil.Process) -> list[psutil.Process]:
    """A supervisor's nspawn and its machine's PID 1; not what that one started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = supervisor.children()
        return [*children, *(below for child in children for below in child.children())]
    return []


def first_process(supervisor: psutil.Process) -> psutil.Process | None:
    """The process that is PID 1 of a supervisor's machine, which is none early in its boot."""
    for process in descent(supervisor):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
            if ids[2:] == ["1"]:
                return process
    return None


def processes_in(namespace: Path) -> list[psutil.Process]:
    """Every process whose network namespace is the one named by the file `namespace`."""
    try:
        wanted = namespace.stat().st_ino
    except FileNotFoundError:
        return []
    found: list[psutil.Process] = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if Path(f"/proc/{pid}/ns/net").stat().st_ino == wanted:
                found.append(psutil.Process(pid))
    return found


def open_socket(namespace: Path, address: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection made from within a network namespace; OSError when there is none.

    Namespaces are a thread's own, so a thread that then ends enters the namespace; the socket it
    made stays there.
    """

    def connect() -> socket.socket:
        with namespace.open() as handle:
            if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        return socket.create_connection((address, port), timeout=timeout)

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(connect).result()


def is_loop_mounted(disk: Path) -> bool:
    """Whether a loop device still holds the file `disk`."""
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if device.read_text().rstrip("\n") == str(disk):
                return True
    return False
