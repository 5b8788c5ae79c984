"""Run one command so that nothing of it outlives this process.

    python -m autobot.supervise [--stop-signal NAME] -- COMMAND...

`ray start` leaves its daemons to init when it dies. This parent makes itself the reaper of all
descendants, passes the request to stop on, and before it exits ends whatever is left of the tree.
It is told by the kernel when its own parent dies.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 8.0


def main(argv: list[str]) -> int:
    """Run the command after ``--`` of ``argv``; return its exit code when all of it has ended.

    A command that a signal ended gives 128 and the signal's number, as a shell says it. SIGTERM and
    SIGINT are passed on as the stop signal; after `GRACE_S` the command is killed.
    """
    options, command = argv[1 : argv.index("--")], argv[argv.index("--") + 1 :]
    stop_signal = signal.Signals[f"SIG{options[1]}"] if options else signal.SIGTERM
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_CHILD_SUBREAPER, 1), (PR_SET_PDEATHSIG, signal.SIGTERM)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    child = subprocess.Popen(command)

    def forward(number: int, frame: FrameType | None) -> None:
        child.send_signal(stop_signal)
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def expired(number: int, frame: FrameType | None) -> None:
        child.kill()

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    signal.signal(signal.SIGALRM, expired)
    code = wait_for_child(child.pid)
    end_descendants(stop_signal)
    return code if code >= 0 else 128 - code


def wait_for_child(pid: int) -> int:
    """Return the exit code of ``pid``; adopted processes that end before it are collected."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def end_descendants(stop_signal: signal.Signals, grace_s: float = 2.0) -> None:
    """Signal, then kill, every process below this one, and those they leave behind."""
    deadline = time.monotonic() + grace_s
    for process in psutil.Process().children(recursive=True):
        _signal(process, stop_signal)
    while children := psutil.Process().children(recursive=True):
        if time.monotonic() > deadline:
            for process in children:
                _signal(process, signal.SIGKILL)
        _reap()
        time.sleep(0.05)


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _reap() -> None:
    """Collect every ended child, adopted ones included: a zombie still counts as a child."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv))
