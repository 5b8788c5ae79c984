"""Nothing outlives the command that was supervised."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

# Leaves a daemon behind that left its session and ignores SIGTERM: the hardest case.
ORPHANING = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(sys.argv[1], "w").write(str(os.getpid()))
    time.sleep(600)
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
    time.sleep(0.01)
time.sleep(float(sys.argv[2]))
"""


def supervised(mark: Path, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", ORPHANING, str(mark), str(seconds)]
    return subprocess.Popen([sys.executable, "-m", "autobot.supervise", "--", *command])


def wait_for_pid(mark: Path) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if mark.exists() and mark.read_text():
            return int(mark.read_text())
        time.sleep(0.02)
    raise AssertionError("the daemon never started")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def test_daemons_are_ended_when_the_command_ends(mark: Path) -> None:
    process = supervised(mark, 0)
    daemon = wait_for_pid(mark)
    assert process.wait(15) == 0
    assert not psutil.pid_exists(daemon)


def test_daemons_are_ended_on_sigterm(mark: Path) -> None:
    process = supervised(mark, 600)
    daemon = wait_for_pid(mark)
    process.terminate()
    assert process.wait(15) != 0
    assert not psutil.pid_exists(daemon)


def test_daemons_are_ended_when_the_command_is_killed(mark: Path) -> None:
    process = supervised(mark, 600)
    daemon = wait_for_pid(mark)
    command = next(c for c in psutil.Process(process.pid).children() if c.pid != daemon)
    os.kill(command.pid, signal.SIGKILL)
    assert process.wait(15) == 128 + signal.SIGKILL
    assert not psutil.pid_exists(daemon)


# Starts a grandchild that outlives its parent by a moment and then ends, while the command goes on.
ADOPTING = """
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.3)
    os._exit(0)
os.wait()
time.sleep(0.6)
open(sys.argv[1], "w").write("1")
time.sleep(600)
"""


def test_adopted_processes_that_end_leave_no_zombie(mark: Path) -> None:
    command = [sys.executable, "-c", ADOPTING, str(mark)]
    process = subprocess.Popen([sys.executable, "-m", "autobot.supervise", "--", *command])
    wait_for_pid(mark)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.wait(15)
    assert len(children) == 1, children


def test_exit_code_is_the_commands() -> None:
    command = [sys.executable, "-m", "autobot.supervise", "--", sys.executable, "-c", "exit(7)"]
    assert subprocess.run(command, check=False, timeout=30).returncode == 7
