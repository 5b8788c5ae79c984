"""One job in a process of its own: bounded, without network, and ended with its caller.

The other side of it is `confined`. What such a process may say is checked by who asked: it may have
been taken over by what it was given.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autobot.errors import AutoBotError
from autobot.sandbox import Limits
from deployments.browser.egress.policy import Target, canonical_host
from deployments.browser.outside.confined import FRAME, LONGEST_DIAL

Dial = Callable[[Target], Awaitable[socket.socket]]
GRACE_S = 5.0
"""A process ends itself in time; one that does not is killed this much later."""
KEPT = ("PATH", "PYTHONPATH", "LANG")
"""Of the environment; keys and tokens stay here."""


class Lost(Exception):
    """The process ended without an answer: a limit, or a crash. ``silent``: it did not even end."""

    def __init__(self, silent: bool = False) -> None:
        super().__init__(silent)
        self.silent = silent


async def answer(
    module: str,
    job: Mapping[str, Any],
    limits: Limits,
    most_bytes: int,
    dial: Dial | None = None,
) -> dict[str, Any]:
    """Run ``module``, which calls `confined.serve`, and return what it answers to ``job``.

    ``dial`` opens the connections that it asks for. Raises `Lost`.
    """
    async with _running(module) as (work, dialing):
        serving = asyncio.ensure_future(_dialed(dialing, dial)) if dial else None
        try:
            async with asyncio.timeout(limits.wall_s + GRACE_S):
                return await _ask(work, {"limits": asdict(limits), "job": job}, most_bytes)
        except TimeoutError as error:
            raise Lost(silent=True) from error
        except (OSError, ValueError, EOFError) as error:
            raise Lost from error
        finally:
            if serving:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def _running(module: str) -> AsyncGenerator[tuple[socket.socket, socket.socket], None]:
    """Start it, and end it with all that it started."""
    work, its_work = socket.socketpair()
    dialing, its_dialing = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with work, dialing:
        work.setblocking(False)
        dialing.setblocking(False)
        with its_work, its_dialing:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, str(its_work.fileno()), str(its_dialing.fileno())),
                env=_environment(),
                pass_fds=[its_work.fileno(), its_dialing.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            yield work, dialing
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    search = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return kept | {"HOME": "/nonexistent", "PYTHONPATH": search}


async def _ask(work: socket.socket, job: Mapping[str, Any], most_bytes: int) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    body = (await asyncio.to_thread(json.dumps, job)).encode()
    await loop.sock_sendall(work, FRAME.pack(len(body)) + body)
    size = FRAME.unpack(await _exactly(work, FRAME.size))[0]
    if size > most_bytes:
        raise ValueError(f"an answer of {size} bytes")
    result = await asyncio.to_thread(json.loads, bytes(await _exactly(work, size)))
    if not isinstance(result, dict):
        raise ValueError("an answer without an object")
    return result


async def _exactly(work: socket.socket, size: int) -> bytearray:
    received = bytearray(size)
    view, loop = memoryview(received), asyncio.get_running_loop()
    while len(view):
        if not (count := await loop.sock_recv_into(work, view)):
            raise EOFError
        view = view[count:]
    return received


async def _dialed(dialing: socket.socket, dial: Dial) -> None:
    """Open one connection after the other, each as it is asked for."""
    loop = asyncio.get_running_loop()
    while request := await loop.sock_recv(dialing, LONGEST_DIAL):
        try:
            host, port = json.loads(request)
            name = f"[{host}]" if ":" in str(host) else str(host)
            connection = await dial(Target(canonical_host(name), int(port)))
        except AutoBotError as error:
            dialing.send(json.dumps({"kind": "blocked", "detail": error.detail[:300]}).encode())
        except (OSError, TimeoutError, ValueError, TypeError):
            dialing.send(json.dumps({"kind": "failed", "detail": "It does not answer."}).encode())
        else:
            with connection:
                socket.send_fds(dialing, [b"{}"], [connection.fileno()])
