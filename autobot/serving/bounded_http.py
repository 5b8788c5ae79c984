"""uvicorn's HTTP on a room's own port, with bounds: anybody who reaches it may speak to it.

uvicorn reads a head of any length for any time, and queues any number of requests of one
connection. The ingress has HAProxy in front, which bounds all of that.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 << 10
"""Bytes of a request line and its headers."""
MOST_HEADERS = 256
MOST_PIPELINED = 16
"""Requests of one connection that wait for the answer of the one before them."""
HEAD_WITHIN_S = 20.0
LEFT_OVER_WITHIN_S = 30.0
"""For the rest of a body whose request is answered already; it is thrown away."""


class TooMuch(Exception):
    """More than a client may send; uvicorn answers 400 and closes."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. uvicorn makes it, and calls what is not ours."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head: int | None = 0
        """Bytes of the head that is being read; None while a body is."""
        self._bounds = 0
        """Beginnings and ends of heads and bodies, and pieces of bodies, so far."""
        self._silent = 0
        """Bytes since then of which nothing came: a chunk's size, a trailer, without end."""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore
        """Close the connection again unless a whole head has come within `HEAD_WITHIN_S`."""
        super().connection_made(transport)
        self._close_in(HEAD_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came. A head that outgrows `MOST_HEAD` is answered with 400."""
        before, bounds = self._head, self._bounds
        super().data_received(data)
        # The parser keeps what it has of a header to itself until the header is complete. Where
        # ``data`` is not all of one head, the rest of it is no part of this one.
        if bounds != self._bounds:
            self._silent = 0
            return
        self._silent += len(data)
        if before is not None and self._head is not None:
            self._head = max(self._head, before + len(data))
        if max(self._head or 0, self._silent) > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        """Begin to time and to measure a head. Raises `TooMuch` when too many requests wait."""
        if len(self.pipeline) >= MOST_PIPELINED:
            raise TooMuch
        self._head = 0
        self._bounds += 1
        self._close_in(HEAD_WITHIN_S)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._read(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Raises `TooMuch` for more than `MOST_HEADERS`, or a head larger than `MOST_HEAD`."""
        self._read(name + value)
        if len(self.headers) >= MOST_HEADERS:
            raise TooMuch
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the head's deadline; `autobot.web.bodies` says how long the body may take."""
        self._head = None
        self._bounds += 1
        self._in_time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bounds += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head = 0
        self._bounds += 1
        self._in_time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give what is left of the request's body `LEFT_OVER_WITHIN_S`, if it is still coming."""
        super().on_response_complete()
        if self._head is None:
            self._close_in(LEFT_OVER_WITHIN_S)

    def _read(self, part: bytes) -> None:
        self._head = (self._head or 0) + len(part)
        if self._head > MOST_HEAD:
            raise TooMuch

    def _close_in(self, seconds: float) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
