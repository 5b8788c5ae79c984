"""Keys and refusals on WebSockets, whose handshakes many clients can put no header into."""

from fastapi import WebSocket

from autobot.errors import AutoBotError
from autobot.keys import KeyRecord, Scope
from autobot.web import problems
from autobot.web.auth import admit, presented_key

PROTOCOL = "autobot"


def key_of(websocket: WebSocket) -> str | None:
    """The key: in a header, as ``?token=`` or ``?key=``, or as the subprotocol ``autobot.key.KEY``.

    The last is for browsers: unlike an address, it is in no history and in no log.
    """
    query = websocket.query_params
    return presented_key(websocket) or query.get("token") or query.get("key")


def admitted(websocket: WebSocket, scope: Scope, *others: Scope) -> KeyRecord:
    """Return the caller's key, which has every scope; raises as `KeyRing.check` does."""
    return admit(websocket, key_of(websocket), scope, *others)


async def refuse(websocket: WebSocket, error: AutoBotError) -> None:
    """Answer the handshake with the problem instead of a connection."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(problems.describe(error, websocket.url.path))
    else:
        await websocket.close(1008, error.type)


def spoken(websocket: WebSocket) -> str | None:
    """The subprotocol to accept: ours, when the client offers it."""
    return PROTOCOL if PROTOCOL in websocket.scope.get("subprotocols", []) else None
