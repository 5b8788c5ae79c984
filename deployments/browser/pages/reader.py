"""`readable` in processes of their own: one for each page, bounded, and ended with its caller.

A process of ours (`Readers`) has imported the libraries, which takes half a second, and forks for
every page. A fork may take `SECONDS` of CPU and `MEMORY`, has no rights but Chromium's user's, and
is ended when its socket is closed: by its answer, its deadline, a caller that hangs up, or our end.
Run as a module this file is that process; its argument is the socket it is told of pages by.
"""

import asyncio
import contextlib
import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import Invalid, TooLarge

SECONDS = 10
MEMORY = 1 << 30
MOST_MARKDOWN = 8 << 20
AT_ONCE, EACH = 4, 3
TOO_MUCH = f"The page takes more than {{}} s or {MEMORY >> 20} MiB to be read as Markdown."


class Readers:
    """Reads pages; the process that forks is started with the first and ends with `close`."""

    def __init__(self, user: tuple[int, int] = (0, 0), seconds: int = SECONDS) -> None:
        """``user`` and its group are whom the forks become where we are root; ``seconds`` of CPU
        is what each may take.
        """
        self._user = user
        self._seconds = seconds
        self._limit = ConcurrencyLimiter(
            AT_ONCE, 64, limit_each=EACH, waiting_each=48, what="pages being read as Markdown"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def markdown(self, owner: str, html: str, url: str, *, whole: bool, links: bool) -> str:
        """Return the page as Markdown; see `readable.markdown`.

        Raises `TooLarge` when that takes too much, `Busy` when too many of ``owner`` are waiting.
        """
        text = html.encode(errors="replace").decode()  # no halves of surrogate pairs
        asked = {"html": text, "url": url, "whole": whole, "links": links}
        async with self._limit.slot(owner):
            request = json.dumps(asked).encode()
            said = await self._ask(request)
            if not said and await asyncio.to_thread(self._ended):
                said = await self._ask(request)  # it was not the page: who forks had ended
        if not said:
            raise TooLarge(TOO_MUCH.format(self._seconds))
        if len(said) > MOST_MARKDOWN:
            raise Invalid(f"The page's Markdown has more than {MOST_MARKDOWN} bytes.")
        return said.decode(errors="replace")

    async def _ask(self, request: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                await asyncio.to_thread(self._send, theirs)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        try:
            writer.write(request)
            with contextlib.suppress(OSError):
                await writer.drain()
                writer.write_eof()
                async with asyncio.timeout(
                    3 * self._seconds
                ):  # CPU is what counts, where it is scarce
                    return await _all_of(reader)
        except TimeoutError:
            pass
        finally:
            writer.transport.abort()
        return b""

    def _send(self, theirs: socket.socket) -> None:
        """Give the other end of a page's socket to a process that is there to take it."""
        if self._process is None or self._process.poll() is not None or self._control is None:
            self.close()
            self._start()
        assert self._control is not None
        try:
            socket.send_fds(self._control, [b"1"], [theirs.fileno()])
        except OSError:  # it has just ended
            self.close()
            self._start()
            socket.send_fds(self._control, [b"1"], [theirs.fileno()])

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            told = [str(theirs.fileno()), str(self._seconds), *map(str, self._user)]
            kept = ("PATH", "PYTHONPATH")
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, *told],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={name: os.environ[name] for name in kept if name in os.environ},
            )

    def _ended(self) -> bool:
        """Whether who forks has ended. A process that dies closes its sockets a moment before."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process is None or self._process.wait(0.2) is not None
        return False

    def close(self) -> None:
        """End the process that forks and wait for its end; the next page would start another."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._control = None


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    """Everything, or a little more than `MOST_MARKDOWN`."""
    parts: list[bytes] = []
    while sum(map(len, parts)) <= MOST_MARKDOWN and (part := await reader.read(1 << 20)):
        parts.append(part)
    return b"".join(parts)


def _serve(control: socket.socket, seconds: int, user: int, group: int) -> None:
    from deployments.browser.pages import readable

    # What the libraries make at their first use is made once, and not in every fork.
    readable.markdown(f"<main><p>{'Begun. ' * 50}</p></main>", None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks are reaped by the kernel
    if os.geteuid() == 0 and user:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    gc.freeze()
    while True:
        message, files, *_ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            with socket.socket(fileno=files[0]) as page, contextlib.suppress(MemoryError, OSError):
                _bound(seconds)
                with page.makefile("rb") as asked:
                    request = json.loads(asked.read())
                _end_with(page)
                page.sendall(readable.markdown(**request).encode(errors="replace"))
            os._exit(0)
        os.close(files[0])


def _bound(seconds: int) -> None:
    """Keep this process to its bounds."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.alarm(6 * seconds)


def _end_with(page: socket.socket) -> None:
    """Let the kernel end this process (SIGIO) when the other end of ``page`` is closed."""
    fcntl.fcntl(page, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(page, fcntl.F_SETFL, fcntl.fcntl(page, fcntl.F_GETFL) | os.O_ASYNC)
    ends = select.poll()
    ends.register(page, 0)  # that both directions have ended is always told
    if ends.poll(0):  # it was closed before anybody would have been told
        os._exit(0)


if __name__ == "__main__":
    fileno, *numbers = map(int, sys.argv[1:])
    _serve(socket.socket(fileno=fileno), *numbers)
