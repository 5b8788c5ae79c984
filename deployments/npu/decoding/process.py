"""The process that decodes strangers' files: a server that forks, and its children.

    python -m deployments.npu.decoding.process CONTROL MODULE

``MODULE`` has ``decode(data, **options)``, which returns facts and bytes, and ``warm_up()``.
``CONTROL`` is a Unix socket's descriptor. Each message on it carries one end of another, on which a
child reads one job, confines itself, answers and exits; the next child is waiting already. How one
ended is told on ``CONTROL``. Nothing a file does to its child reaches the next file's, and since
the server never sees a file's bytes a fork of it is as good as a new process.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

from autobot.errors import AutoBotError
from autobot.sandbox import Limits, confine

FRAME = struct.Struct("<II")
"""Bytes of JSON, and of what follows it."""
PID = struct.Struct("<i")
"""What a child says first, while nobody but us has told it anything."""
ENDED = struct.Struct("<iiI")
"""A child's process id, its wait status, and the most memory it had, in KiB."""
NO_MORE = 3
"""Exit code of a child to whom no job came."""

Decoded = tuple[dict[str, Any], Any]
"""What fits into JSON, and a C-contiguous buffer."""


def serve(control: socket.socket, decode: Callable[..., Decoded]) -> None:
    """Keep one child waiting for the next job until nobody holds the other end of ``control``."""
    while True:
        if (pid := os.fork()) == 0:
            try:
                _work(_next_job(control), decode)
            except BaseException:  # whatever it is, a child never comes back into this loop
                traceback.print_exc()
            os._exit(0)
        _, status, usage = os.wait4(pid, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NO_MORE:
            return
        control.sendall(ENDED.pack(pid, status, usage.ru_maxrss))


def _next_job(control: socket.socket) -> socket.socket:
    _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not descriptors:
        os._exit(NO_MORE)
    control.close()
    job = socket.socket(fileno=descriptors[0])
    job.sendall(PID.pack(os.getpid()))
    return job


def _work(job: socket.socket, decode: Callable[..., Decoded]) -> None:
    asked, data = receive(job)
    confine(Limits(**asked["limits"]))
    body: Any = b""
    try:
        answer, body = decode(bytes(data), **asked["options"])
    except MemoryError:
        answer = {"exceeded": "memory"}
    except AutoBotError as error:
        answer = {"error": type(error).__name__, "detail": error.detail[:500]}
    send(job, answer, body)


def send(job: socket.socket, header: dict[str, Any], body: Any) -> None:
    """Send ``header`` as JSON and ``body``, a C-contiguous buffer, as one frame.

    Blocks while the other side does not read. Raises `OSError` when it is gone.
    """
    told = json.dumps(header).encode()
    view = memoryview(body).cast("B")
    job.sendall(FRAME.pack(len(told), len(view)) + told)
    if len(view):  # the other side has all it waits for, and may be gone by now
        job.sendall(view)


def receive(
    job: socket.socket, most_header: int = 1 << 16, most_body: int = 1 << 28
) -> tuple[dict[str, Any], bytearray]:
    """Raise `EOFError` when the other side ends early, `ValueError` when it says too much."""
    told, size = FRAME.unpack(_exactly(job, FRAME.size))
    if told > most_header or size > most_body:
        raise ValueError(f"a frame of {told} and {size} bytes")
    header = json.loads(_exactly(job, told))
    if not isinstance(header, dict):
        raise ValueError("a frame without an object")
    return header, _exactly(job, size)


def _exactly(job: socket.socket, size: int) -> bytearray:
    received = bytearray(size)
    view = memoryview(received)
    while len(view):
        if not (count := job.recv_into(view)):
            raise EOFError
        view = view[count:]
    return received


def main(descriptor: int, module: str) -> None:
    """Warm up, say so with one byte on socket ``descriptor``, and `serve` what comes over it.

    Returns when nobody holds the socket's other end. Ctrl-C does not reach this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's: whoever started this ends it
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # where memory runs out, files are given up before models
    driver = importlib.import_module(module)
    driver.warm_up()
    gc.disable()  # a child lives for one file: a collection would only copy what it shares
    control = socket.socket(fileno=descriptor)
    control.sendall(b"r")
    serve(control, driver.decode)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
