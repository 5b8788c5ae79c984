"""Keys and refusals on WebSockets, whose handshakes many clients can put no header into."""

import base64
import contextlib

from fastapi import WebSocket

from autobot.errors import AutoBotError, Unauthenticated
from autobot.keys import KeyRecord, Scope
from autobot.web import problems
from autobot.web.auth import admit, presented_key

PROTOCOL = "autobot"


IN_THE_ADDRESS = (
    "A key in the query would be in the log of whatever passes the request on: send it as "
    "`Authorization: Bearer`, as the subprotocol `autobot.key.KEY`, or as "
    "ws://autobot:KEY@HOST/..., which clients send as a header."
)


def key_of(websocket: WebSocket) -> str | None:
    """The key: in a header, or as the subprotocol ``autobot.key.KEY``, which browsers can send.

    A header may be HTTP's ``Basic`` one: that is what clients make of ``ws://autobot:KEY@HOST/``,
    and many take an address and nothing else. Raises `Unauthenticated` for a key in the query.
    """
    key = presented_key(websocket) or _password(websocket)
    if key is None and {"token", "key"} & set(websocket.query_params):
        raise Unauthenticated(IN_THE_ADDRESS)
    return key


def _password(websocket: WebSocket) -> str | None:
    """The password of HTTP's ``Basic``; none of a browser's, which sends what it remembers."""
    scheme, _, said = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or "origin" in websocket.headers:
        return None
    with contextlib.suppress(ValueError):  # no base64, or no text
        return base64.b64decode(said).decode().partition(":")[2] or None
    return None


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
