"""A WebSocket passed on, as it comes, to another VM of the room, which checks the key."""

import asyncio
import contextlib
from collections.abc import Mapping

from fastapi import WebSocket, WebSocketDisconnect
from fastapi.responses import Response
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from autobot.web.forward import passing
from deployments.browser.remote import MAX_MESSAGE

OPEN_TIMEOUT_S = 30.0
"""A protocol client's browser is started before its handshake is answered."""
BEAT_S = 5.0
"""A VM that is off says nothing, and does not answer this either."""
OF_THE_HANDSHAKE = "sec-websocket-"


class Refused(Exception):
    """The other VM answered the handshake with ``response``."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response


async def tunnel(websocket: WebSocket, url: str, added: Mapping[str, str]) -> None:
    """Speak to ``url`` in the client's stead until either side ends.

    Raises `Refused`, or OSError or TimeoutError when nobody answers there, before the client's own
    handshake is answered.
    """
    headers = [
        h for h in passing(websocket.headers.items()) if not h[0].startswith(OF_THE_HANDSHAKE)
    ]
    offered = [Subprotocol(name) for name in websocket.scope.get("subprotocols", [])]
    try:
        connection = await connect(
            url,
            additional_headers=[*headers, *added.items()],
            subprotocols=offered or None,
            user_agent_header=None,
            compression=None,
            max_size=MAX_MESSAGE,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=BEAT_S,
            ping_timeout=BEAT_S * 2,
            proxy=None,
        )
    except InvalidStatus as error:
        raise Refused(_denial(error)) from error
    async with connection:
        await websocket.accept(subprotocol=connection.subprotocol)
        await _both_ways(websocket, connection)


def _denial(error: InvalidStatus) -> Response:
    said = error.response
    media_type = said.headers.get("content-type")
    headers = {"retry-after": again} if (again := said.headers.get("retry-after")) else {}
    return Response(bytes(said.body), said.status_code, headers, media_type)


async def _both_ways(websocket: WebSocket, connection: ClientConnection) -> None:
    async def outward() -> None:
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            await connection.send(message["bytes"] if text is None else text)

    async def inward() -> None:
        async for message in connection:
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)

    tasks = [asyncio.ensure_future(way()) for way in (outward, inward)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if connection.close_code is not None:
        # 1006 stands for a connection that was cut: it may not be said.
        code = 1011 if connection.close_code == 1006 else connection.close_code
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close(code, connection.close_reason)
