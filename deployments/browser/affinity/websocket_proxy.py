"""A WebSocket passed on, as it comes, to another VM of the room, which checks the key."""

import asyncio
import contextlib
from collections.abc import Mapping

from fastapi import WebSocket, WebSocketDisconnect
from fastapi.responses import Response
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from autobot.web.forward import HOP_BY_HOP
from deployments.browser.affinity.peer_client import dial
from deployments.browser.first_completed import until_one_ends
from deployments.browser.protocols.browser_process import MAX_MESSAGE

OPEN_TIMEOUT_S = 30.0
"""A protocol client's browser is started before its handshake is answered."""
LAST_WORDS_S = 5.0
"""How long what an ended connection still holds may take to be passed on."""
OF_THIS_CONNECTION = HOP_BY_HOP | {"host", "content-length"}
# Closing codes that stand for none and for a cut connection; neither may be said.
UNSAID = {1005: 1000, 1006: 1011}


class HandshakeRefused(Exception):
    """The other VM answered the handshake with ``response``."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response


async def tunnel(websocket: WebSocket, where: str, added: Mapping[str, str]) -> None:
    """Speak to ``where`` (``host:port``) in the client's stead until either side ends.

    Before the client's own handshake is answered it raises `NotReached`, `HandshakeRefused`, or
    OSError when the other side breaks off or takes too long.
    """
    connection = await _connected(websocket, where, added)
    async with connection:
        await websocket.accept(subprotocol=connection.subprotocol)
        await _both_ways(websocket, connection)


async def _connected(
    websocket: WebSocket, where: str, added: Mapping[str, str]
) -> ClientConnection:
    headers = [
        (name, value)
        for name, value in websocket.headers.items()
        if name not in OF_THIS_CONNECTION and not name.startswith("sec-websocket-")
    ]
    offered = [Subprotocol(name) for name in websocket.scope.get("subprotocols", [])]
    try:
        return await connect(
            f"ws://{where}{websocket.url.path}?{websocket.url.query}",
            sock=await dial(where),
            additional_headers=[*headers, *added.items()],
            subprotocols=offered or None,
            user_agent_header=None,
            compression=None,
            max_size=MAX_MESSAGE,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=None,  # the socket notices: a slow reader is no dead one
            proxy=None,
        )
    except InvalidStatus as error:
        raise HandshakeRefused(_denial(error)) from error
    except InvalidHandshake as error:
        raise ConnectionError(f"{where} broke off the handshake.") from error


def _denial(error: InvalidStatus) -> Response:
    said = error.response
    response = Response(bytes(said.body), said.status_code)
    for name, value in said.headers.raw_items():
        if name.lower() not in OF_THIS_CONNECTION:
            response.headers[name] = value
    return response


async def _both_ways(websocket: WebSocket, connection: ClientConnection) -> None:
    async def outward() -> None:
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            try:
                await connection.send(message["bytes"] if text is None else text)
            except ConnectionClosed:
                await asyncio.sleep(LAST_WORDS_S)
                return

    async def inward() -> None:
        async for message in connection:
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)

    await until_one_ends(outward(), inward())
    if (code := connection.close_code) is not None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close(UNSAID.get(code, code), connection.close_reason)
