"""Small servers on loopback: pages for the browser to visit, and a trap that counts who comes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Site:
    """An HTTP server. ``pages`` maps a path to (status, extra header lines, body)."""

    pages: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """Whole request heads, in order of arrival."""
    port: int = 0

    def put(self, path: str, body: str, *, status: int = 200, headers: str = "") -> str:
        kind = "" if "content-type" in headers.lower() else "Content-Type: text/html\r\n"
        self.pages[path] = (status, kind + headers, body.encode())
        return f"http://127.0.0.1:{self.port}{path}"

    def redirect(self, path: str, to: str) -> str:
        return self.put(path, "", status=302, headers=f"Location: {to}\r\n")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            path = head.split(" ")[1]
            if path == "/hang":
                await reader.read()
                return
            status, headers, body = self.pages.get(path, (404, "", b"nothing here"))
            # Deliberately not closing: a proxy must not let the browser reuse this connection.
            start = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
            writer.write(start.encode() + body)
            await writer.drain()
            await reader.read()
        writer.close()


@contextlib.asynccontextmanager
async def serve_site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.answer, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


@dataclass
class Trap(asyncio.DatagramProtocol):
    """A TCP and UDP listener on one loopback port that counts connections and datagrams."""

    port: int = 0
    tcp: int = 0
    udp: int = 0

    def caught(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tcp += 1
        writer.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.udp += 1


@contextlib.asynccontextmanager
async def set_trap() -> AsyncIterator[Trap]:
    trap = Trap()
    server = await asyncio.start_server(trap.caught, "127.0.0.1", 0)
    trap.port = server.sockets[0].getsockname()[1]
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", trap.port))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: trap, sock=listener)
    try:
        yield trap
    finally:
        transport.close()
        server.close()
