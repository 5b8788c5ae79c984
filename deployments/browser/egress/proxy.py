"""A filtering forward proxy on loopback: the only way out that Chromium is given.

Every browser context gets a proxy of its own, on a port of its own, for as long as it lives. Pages,
redirects, sub-resources, WebSockets and service workers all pass here, and each connection is
resolved, checked and pinned by the `Connector`. Plain http carries one request per connection, and
the answer says `Connection: close`: a server that kept its connection would answer for other hosts.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import structlog

from autobot.errors import AutoBotError, BlockedAddress, Invalid
from deployments.browser.egress.connector import Stream, unreachable
from deployments.browser.egress.policy import Target, canonical_host, target_of
from deployments.browser.egress.requests import CHUNK, HOP_BY_HOP, Proxied
from deployments.browser.first_completed import until_one_ends

log = structlog.get_logger()

Open = Callable[[Target], Awaitable[Stream]]

HEAD_TIMEOUT_S = 60.0
TLS = b"\x16"
"""A handshake's first byte."""
MAX_FAILURES = 256


async def nowhere(target: Target) -> Stream:
    """Open nothing: what Chromium does on its own account is refused, quietly."""
    raise ConnectionRefusedError(f"{target} was asked for by Chromium itself")


def connect_target(authority: str) -> Target:
    """Return the target of ``CONNECT host:port``."""
    host, _, port = authority.rpartition(":")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Invalid(f"`{authority[:200]}` is not host:port.")
    return Target(canonical_host(host), int(port))


def end_to_end(head: bytes, first_line: bytes) -> bytes:
    """Return ``head`` with another first line, without hop-by-hop headers, closing afterwards."""
    kept = [
        line
        for line in head.split(b"\r\n")[1:]
        if line
        and (name := line.partition(b":")[0].strip().lower()) not in HOP_BY_HOP
        and not name.startswith(b"proxy-")
    ]
    return b"\r\n".join([first_line, *kept, b"Connection: close", b"", b""])


class EgressProxy:
    """One proxy for one browser context. ``budget`` is the bytes it may move in all."""

    def __init__(self, open_: Open, *, max_connections: int = 128, budget: int = 256 << 20) -> None:
        self._open = open_
        self._max_connections = max_connections
        self._budget = budget
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failures: dict[Target, AutoBotError] = {}
        self.blocked: list[str] = []
        """Why connections were refused, oldest first, each reason once."""
        self.refusals = 0
        self.last_refusal = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen on a free loopback port; return the proxy's URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=CHUNK)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def failure(self, url: str) -> AutoBotError | None:
        """Say why the last connection for ``url`` came to nothing; None when it did not."""
        with contextlib.suppress(AutoBotError):
            return self._failures.get(target_of(url))
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) <= self._max_connections:
                await self._handle(reader, writer)
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            TimeoutError,
            h11.ProtocolError,
        ):
            pass  # either end went away, or spoke no HTTP: closing is the whole answer
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        where = rest.rpartition(" ")[0]
        tunnel = method == "CONNECT"
        if not tunnel and not where.startswith("http://"):
            return
        try:
            target = connect_target(where) if tunnel else target_of(where)
        except AutoBotError:
            return
        stream = await self._connect(target)
        if stream is None:
            # A refused tunnel needs an answer; a refused request gets none, so nothing of the proxy
            # is ever rendered as if it were the page.
            if tunnel:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await self._tunnel(target, stream, reader, writer)
            else:
                path = "/" + where[len("http://") :].partition("/")[2]
                await self._exchange(Proxied(head), target, path, stream, (reader, writer))
        finally:
            stream[1].close()

    async def _tunnel(
        self,
        target: Target,
        stream: Stream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """TLS as it comes, until one direction ends: neither it nor HTTP needs half a connection.

        Plain HTTP, which Chromium speaks here for a WebSocket, is read as outside of a tunnel.
        """
        first = await reader.read(CHUNK)
        if first[:1] == TLS:
            await self._spend(first, stream[1])
            await until_one_ends(self._pump(reader, stream[1]), self._pump(stream[0], writer))
        elif first:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                head = first
                while b"\r\n\r\n" not in head and len(head) <= CHUNK:
                    if not (more := await reader.read(CHUNK)):
                        return
                    head += more
            request = Proxied(head)
            if request.target.startswith("/"):
                client = reader, writer
                await self._exchange(request, target, request.target, stream, client)

    async def _exchange(
        self, request: Proxied, target: Target, path: str, stream: Stream, client: Stream
    ) -> None:
        """Pass on one request and its answer, or a WebSocket that begins with one."""
        stream[1].write(request.head(target, path))
        if request.upgrades and await self._upgraded(stream[0], client[1]):
            ways = self._pump(client[0], stream[1]), self._pump(stream[0], client[1])
        elif request.upgrades:
            return
        else:
            ways = self._ask(request, client[0], stream[1]), self._answer(stream[0], client[1])
        await until_one_ends(*ways)

    async def _ask(
        self, request: Proxied, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send the body; then wait until the client has gone, and pass on nothing it may say."""
        async for piece in request.body(reader):
            if not await self._spend(piece, writer):
                return
        while await reader.read(CHUNK):
            pass

    async def _upgraded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass on the answer to a WebSocket's handshake; whether there is a WebSocket now."""
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        return head.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 101\r"))

    async def _connect(self, target: Target) -> Stream | None:
        try:
            stream = await self._open(target)
        except BlockedAddress as error:
            log.warning("browser.blocked", target=str(target), reason=error.detail)
            self._note(target, error)
            self.refusals, self.last_refusal = self.refusals + 1, error.detail
            if error.detail not in self.blocked[-MAX_FAILURES:]:
                self.blocked = [*self.blocked[1 - MAX_FAILURES :], error.detail]
        except (OSError, TimeoutError) as error:
            self._note(target, unreachable(target, error))
        else:
            self._failures.pop(target, None)
            return stream
        return None

    def _note(self, target: Target, failure: AutoBotError) -> None:
        """Remember why, for the driver to tell. A page chooses how many: forget the oldest."""
        if len(self._failures) >= MAX_FAILURES:
            del self._failures[next(iter(self._failures))]
        self._failures[target] = failure

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first = head.partition(b"\r\n")[0]
            status = first.split(b" ")[1:2]
            if not first.startswith(b"HTTP/1.") or status in ([b"101"], [b"407"]):
                return
            if not status or not status[0].startswith(b"1"):
                break
            writer.write(head)
        writer.write(end_to_end(head, first))
        await self._pump(reader, writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if not await self._spend(data, writer):
                return

    async def _spend(self, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Write ``data``, unless the budget is spent."""
        self._budget -= len(data)
        if self._budget < 0:
            log.warning("browser.budget_spent")
            return False
        writer.write(data)
        await writer.drain()
        return True
