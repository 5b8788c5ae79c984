"""HTTP/1.1 over a Unix socket, for the one server we start ourselves.

A general client costs about as much processor time for each token as everything else on a token's
way together, on the very cores the engine computes on. This one knows a single request for each
connection, `Content-Length` and chunked bodies, and nothing else.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

LONGEST_HEAD = 1 << 16
READ_BYTES = 1 << 16


class BrokenOff(ConnectionError):
    """The server closed the connection before its answer was complete, or could not be reached."""


class Answer:
    """Status, and a body to be read once."""

    def __init__(
        self, status: int, reader: asyncio.StreamReader, length: int | None, wait_s: float
    ):
        self.status = status
        self._reader = reader
        self._length = length
        self._wait_s = wait_s

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises `BrokenOff`, and `TimeoutError` after a long silence."""
        if self._length is not None:
            yield await self._guarded(self._reader.readexactly(self._length))
            return
        rest = b""
        while True:
            data = await self._guarded(self._reader.read(READ_BYTES))
            if not data:
                raise BrokenOff("the engine closed the connection")
            whole, rest, ended = _unchunk(rest + data)
            if whole:
                yield whole
            if ended:
                return

    async def read(self) -> bytes:
        """The whole body. Read either this or `pieces`, and once. Raises as `pieces` does."""
        return b"".join([piece async for piece in self.pieces()])

    async def _guarded(self, reading: Any) -> bytes:
        try:
            async with asyncio.timeout(self._wait_s):
                return await reading
        except (asyncio.IncompleteReadError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise BrokenOff(str(error)) from error


class UnixHttp:
    """A client of the server that listens on `path`; `silence_s` is the longest wait for a byte."""

    def __init__(self, path: str, silence_s: float) -> None:
        self._path = path
        self._silence_s = silence_s

    @asynccontextmanager
    async def request(
        self, method: str, target: str, body: object = None
    ) -> AsyncGenerator[Answer, None]:
        """Send `body` as JSON. Leaving the block closes the connection, which stops the work."""
        content = b"" if body is None else json.dumps(body).encode()
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=LONGEST_HEAD)
        except OSError as error:
            raise BrokenOff(str(error)) from error
        try:
            writer.write(
                f"{method} {target} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            yield await self._head(reader)
        finally:
            writer.transport.abort()  # at once: an orderly close waits for unsent bytes

    async def json(self, method: str, target: str, body: object = None) -> Any:
        """The parsed body of an answer, whatever its status."""
        async with self.request(method, target, body) as answer:
            return json.loads(await answer.read())

    async def _head(self, reader: asyncio.StreamReader) -> Answer:
        try:
            async with asyncio.timeout(self._silence_s):
                head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
            raise BrokenOff(str(error)) from error
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        length = None if fields.get("transfer-encoding") else int(fields.get("content-length", 0))
        return Answer(int(status.split(" ", 2)[1]), reader, length, self._silence_s)


def _unchunk(data: bytes) -> tuple[bytes, bytes, bool]:
    """Return the content of the whole chunks in `data`, the rest, and whether the last one came."""
    whole: list[bytes] = []
    start = 0
    while (line := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line].partition(b";")[0], 16)
        if size == 0:
            return b"".join(whole), b"", True
        end = line + 2 + size
        if len(data) < end + 2:
            break
        whole.append(data[line + 2 : end])
        start = end + 2
    return b"".join(whole), data[start:], False
