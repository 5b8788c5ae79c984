"""An application on a room's own port, for tests that need a real socket."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from starlette.types import ASGIApp

from autobot.serving.room import OwnPort


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def on_own_port(app: ASGIApp) -> AsyncIterator[int]:
    port = free_port()
    server = OwnPort(app, "127.0.0.1", port)
    await server.start()
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.01)
    writer.close()
    try:
        yield port
    finally:
        await server.stop()
