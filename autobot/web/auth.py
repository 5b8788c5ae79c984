"""`require(scope)`: the dependency every route carries that `autobot.web.public` does not name."""

from collections.abc import Awaitable, Callable

from fastapi.requests import HTTPConnection

from autobot.keys import KeyRecord, KeyRing, Scope

KEY_PROTOCOL = "autobot.key."
"""Browsers put no header into a WebSocket's handshake: there the key may be a subprotocol, which,
unlike an address, is in no history and in no log."""
PRESENTED = "autobot.presented_key"
"""Where a request's scope keeps the key that came with it."""


def presented_key(connection: HTTPConnection) -> str | None:
    """The key a client sent: ``Authorization: Bearer``, else ``x-api-key``, else a subprotocol.

    Never one in the address, which every proxy writes down.
    """
    scope = connection.scope
    if PRESENTED not in scope:  # it is asked for several times
        scope[PRESENTED] = _presented(connection)
    return scope[PRESENTED]


def _presented(connection: HTTPConnection) -> str | None:
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    offered = connection.scope.get("subprotocols", ())
    named = (name[len(KEY_PROTOCOL) :] for name in offered if name.startswith(KEY_PROTOCOL))
    return connection.headers.get("x-api-key") or next(named, None) or None


def require(scope: Scope) -> Callable[[HTTPConnection], Awaitable[KeyRecord]]:
    """Return a dependency that lets a request through only with a key of ``scope``."""

    async def authorised(connection: HTTPConnection) -> KeyRecord:
        return admit(connection, presented_key(connection), scope)

    authorised.key_scope = scope  # read before a request's body is: see `RouteTable`
    return authorised


def admit(connection: HTTPConnection, key: str | None, *scopes: Scope) -> KeyRecord:
    """Return the record of ``key``, which has all ``scopes``; raises as `KeyRing.check` does.

    From here on the request, or the socket, ends when the key does: see `autobot.web.access`.
    """
    keys: KeyRing = connection.app.state.keys
    record = keys.check(key, *scopes)
    admission = connection.scope.get("autobot.admission")
    if admission is not None:
        admission.add(record)
    return record


def outlive_key(connection: HTTPConnection) -> None:
    """Let this request be answered whatever becomes of its key."""
    connection.scope["autobot.admission"].outlives_key = True
