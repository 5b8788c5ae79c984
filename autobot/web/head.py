"""HEAD on every route that has GET: its status and headers, and no body."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def without_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as ``app`` answers GET. Once it has begun, it is told that its caller has gone: a
    stream would go on for nobody.
    """
    begun = asyncio.Event()
    # A copy: the server must still see HEAD, or it would wait for the body.
    inner = {**scope, "method": "GET"}

    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            scope["route"] = inner.get("route")  # for the metrics
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            begun.set()

    async def gone_once_begun() -> Message:
        if not begun.is_set():
            waiting = [asyncio.ensure_future(receive()), asyncio.ensure_future(begun.wait())]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if waiting[0].done() and not begun.is_set():
                    return waiting[0].result()  # pyright: ignore[reportReturnType]
            finally:
                for task in waiting:
                    task.cancel()
        return {"type": "http.disconnect"}

    await app(inner, gone_once_begun, headers_only)
