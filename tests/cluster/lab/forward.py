"""Brings ports of the lab to this machine's loopback, for a browser that cannot enter the lab.

Run as `forward.py NAMESPACE LISTEN:HOST:PORT...`: it says `forwarding` once it listens on
127.0.0.1, and runs until it is killed. It listens where it was started and connects from within the
namespace, where it then lives: what ends the namespace's processes ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import sys
from pathlib import Path

CLONE_NEWNET = 0x4000_0000
CHUNK = 64 * 2**10
CONNECT_S = 10.0


def listen(port: int) -> socket.socket:
    """A socket on this machine's loopback; OSError when the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(128)
    return listening


def enter(namespace: Path) -> None:
    """Live in a network namespace from here on; sockets made before stay where they are."""
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open() as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction to its end, and tell the other side of the end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def serve(listening: socket.socket, host: str, port: int) -> None:
    """Carry every connection of `listening` to `host`:`port`."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            connecting = asyncio.open_connection(host, port)
            far_reader, far_writer = await asyncio.wait_for(connecting, CONNECT_S)
            try:
                await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
            finally:
                far_writer.close()
        writer.close()

    server = await asyncio.start_server(carry, sock=listening)
    await server.serve_forever()


async def main(namespace: Path, ways: list[str]) -> None:
    """Listen for all, enter the namespace, say so, carry for ever."""
    parts = [way.split(":") for way in ways]
    sockets = [listen(int(own)) for own, _, _ in parts]
    enter(namespace)
    print("forwarding", flush=True)
    far = zip(sockets, parts, strict=True)
    await asyncio.gather(*(serve(sock, host, int(port)) for sock, (_, host, port) in far))


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
    except OSError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
