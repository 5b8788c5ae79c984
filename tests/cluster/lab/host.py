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
    """Poll `ready` until it is true; LabError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() >= deadline:
            raise LabError(f"{what}: not so after {timeout:g} s")
        time.sleep(every)


def started_at(pid: int) -> float:
    """The start time that, with the pid, names one process for ever. LabError when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        raise LabError(f"process {pid} ended as soon as it was started") from None


def same_process(pid: int, created: float) -> psutil.Process | None:
    """The process that had `pid` at `created`, or None when it ended (a zombie has ended)."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > 0.05:
            return None
        if process.status() == psutil.STATUS_ZOMBIE:
            _reap(pid)
            return None
        return process
    except psutil.NoSuchProcess:
        return None


def _reap(pid: int) -> None:
    # Only the process that started a VM can reap it; for any other this is not its child.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def kill(processes: Iterable[psutil.Process], timeout: float = 10.0) -> None:
    """SIGKILL each process and wait until all are gone; LabError naming those that stay."""
    doomed = list(processes)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(doomed, timeout=timeout)
    stuck = [p.pid for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    if stuck:
        raise LabError(f"processes {stuck} did not die within {timeout:g} s of SIGKILL")


def processes_in(namespace: Path) -> list[psutil.Process]:
    """Every process whose network namespace is the one named by the file `namespace`."""
    try:
        wanted = namespace.stat().st_ino
    except FileNotFoundError:
        return []
    found: list[psutil.Process] = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if os.stat(f"/proc/{pid}/ns/net").st_ino == wanted:
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
