"""What a caller that goes away must cause: the work for it stops.

Starlette watches for this only in some servers' streams, and never before an answer begins.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Protocol, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

T = TypeVar("T")

TAKEN_WITHIN_S = 60.0
"""For a piece of a stream: who takes nothing so long is gone, or keeps an engine from others."""


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless_gone(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await ``work``; cancel it and raise `ClientDisconnect` when the caller hangs up first.

    For requests whose body has been read: from then on the server reports only the disconnect.
    """
    return await _unless_gone(work, request.receive)


def _impatient(send: Send) -> Send:
    """``send``, which raises `ClientDisconnect` when a piece is not taken in time."""

    async def sent(message: Message) -> None:
        try:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None

    return sent


class Source(Protocol):
    """What a stream is made from."""

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Stop making the stream. Called once, after its pieces are closed, however it ended."""
        ...


class Streamed(StreamingResponse):
    """An answer that is sent as it is made; ``source`` is closed at its end, or when the caller
    hangs up or takes nothing for long.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        source: Source,
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(pieces, status, headers)
        self._pieces = pieces
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _unless_gone(self.stream_response(_impatient(send)), receive)
        except (ClientDisconnect, OSError):
            return
        finally:
            try:
                await self._pieces.aclose()
            finally:  # or an engine would go on for nobody
                await self._source.aclose()


class EventStream(Streamed):
    """Server-sent events."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        source: Source,
        headers: dict[str, str],
        status_code: int = 200,
    ) -> None:
        own = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }
        super().__init__(events, source, status_code, own | headers)
