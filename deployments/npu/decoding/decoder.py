"""Strangers' files, decoded in processes of their own: with limits, or refused with the reason.

A file of kilobytes can be made to take all memory, to take for ever, or to crash or take over what
reads it. Here that costs one request: its process has no file, no network and no secret, and
everything it says is checked.
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autobot.errors import AutoBotError, BadRequest, Invalid, TooLarge, Unavailable
from autobot.sandbox import Limits, offered
from deployments.npu.decoding import process
from deployments.npu.decoding.process import ENDED, PID, receive, send

ERRORS: dict[str, type[AutoBotError]] = {
    error.__name__: error for error in (BadRequest, Invalid, TooLarge)
}
START_S = 60
GRACE_S = 5.0
"""A child's own deadline ends it; when that fails, its whole family is killed this much later."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
"""All of it: keys and tokens stay here. One thread, or the server could not fork."""


class Decoder:
    """Decodes files with ``module``, one at a time. Blocking; safe from several threads.

    Its server starts with the first file, for half a second, and is replaced when it is lost.
    """

    def __init__(self, module: str, limits: Limits) -> None:
        self.limits = limits
        self._module = module
        self._server: _Server | None = None
        self._lock = threading.Lock()

    def decode(
        self, data: bytes, most_bytes: int, options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytearray]:
        """Return facts and bytes, at most ``most_bytes``, as the decoder gave them: unchecked.

        Raises `TooLarge` when a limit was passed or the child crashed, what the decoder raised of
        `ERRORS`, and `Unavailable` when no server can be had.
        """
        with self._lock:
            answer, body = self._ask(data, most_bytes, options)
        if "exceeded" in answer:
            raise TooLarge(f"The file takes more than {self.limits.memory >> 20} MiB of memory.")
        if "error" in answer:
            raise ERRORS.get(str(answer["error"]), Invalid)(str(answer.get("detail"))[:500])
        return answer, body

    def close(self) -> None:
        """End the server; the next file starts another."""
        with self._lock:
            if self._server is not None:
                self._server.end()
                self._server = None

    def facts(self) -> dict[str, Any]:
        """Return the limits of one file, and whether system calls are filtered. Starts nothing."""
        return {"decoder": {**asdict(self.limits), "system_calls_filtered": offered()}}

    def _ask(
        self, data: bytes, most_bytes: int, options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytearray]:
        for _ in range(2):  # a server that died between two files is not this file's fault
            server = self._running()
            try:
                return server.ask(data, most_bytes, options, self.limits)
            except _Lost as lost:
                self._server = None
                server.end()
                if lost.silent:
                    raise TooLarge(f"The file takes longer than {self.limits.wall_s} s.") from lost
        raise Unavailable("The decoder was killed twice: this machine lacks memory.")

    def _running(self) -> "_Server":
        if self._server is None or self._server.process.poll() is not None:
            self._server = _Server(self._module)
        return self._server


class _Lost(Exception):
    """The server has ended, or is ``silent`` although every deadline has passed."""

    def __init__(self, silent: bool) -> None:
        super().__init__(silent)
        self.silent = silent


class _Server:
    """A `decoding.process` and the socket by which it is given jobs."""

    def __init__(self, module: str) -> None:
        self._control, theirs = socket.socketpair()
        command = [sys.executable, "-m", process.__name__, str(theirs.fileno()), module]
        with theirs:
            self.process = subprocess.Popen(
                command,
                env=ENVIRONMENT | {"PYTHONPATH": _search_path()},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control.settimeout(START_S)
        try:
            ready = self._control.recv(1)
        except OSError:
            ready = b""
        if not ready:
            self.end()
            raise Unavailable(f"The decoder {module} did not start.")

    def ask(
        self, data: bytes, most_bytes: int, options: Mapping[str, Any], limits: Limits
    ) -> tuple[dict[str, Any], bytearray]:
        """Raise `TooLarge` when the child was killed, `_Lost` when nothing ends it."""
        ours, theirs = socket.socketpair()
        said: tuple[dict[str, Any], bytearray] | None = None
        with ours:
            ours.settimeout(limits.wall_s + GRACE_S)
            pid = self._hand_over(ours, theirs)
            with contextlib.suppress(OSError, EOFError, ValueError):
                send(ours, {"limits": asdict(limits), "options": dict(options)}, data)
                said = receive(ours, most_body=most_bytes)
        status, memory = self._ended(pid)
        if said is None:
            raise _told(status, memory, limits)
        return said

    def end(self) -> None:
        """Kill the server and what it forked. Its id is ours until it has been waited for."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._control.close()

    def _hand_over(self, ours: socket.socket, theirs: socket.socket) -> int:
        """Return the process id of the child that has taken the job."""
        with theirs:
            try:
                socket.send_fds(self._control, [b"j"], [theirs.fileno()])
            except OSError as error:
                raise _Lost(silent=False) from error
        return int(self._read(ours, PID)[0])

    def _ended(self, pid: int) -> tuple[int, int]:
        while True:  # a child may have ended before it had a job
            ended, status, kibibytes = self._read(self._control, ENDED)
            if ended == pid:
                return status, kibibytes << 10

    def _read(self, source: socket.socket, what: struct.Struct) -> tuple[Any, ...]:
        try:
            received = source.recv(what.size, socket.MSG_WAITALL)
        except OSError as error:
            raise _Lost(isinstance(error, TimeoutError)) from error
        if len(received) != what.size:
            raise _Lost(silent=False)
        return what.unpack(received)


def _search_path() -> str:
    """Where this process finds its modules, for one that starts elsewhere."""
    return os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)


def _told(status: int, memory: int, limits: Limits) -> TooLarge:
    """Say which limit a child passed that could not say so itself."""
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if killed in (signal.SIGXCPU, signal.SIGKILL):
        return TooLarge(f"The file takes more than {limits.cpu_s} s of processor time.")
    if killed == signal.SIGALRM:
        return TooLarge(f"The file takes longer than {limits.wall_s} s.")
    cause = f"by {signal.Signals(killed).name}" if killed else "without an answer"
    return TooLarge(
        f"The file's decoder ended {cause}, at {memory >> 20} MiB: the file is broken, or takes "
        f"more than the {limits.memory >> 20} MiB of memory it may."
    )
