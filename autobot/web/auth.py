"""`require(scope)`: the dependency every route but liveness carries."""

from collections.abc import Awaitable, Callable

from fastapi.requests import HTTPConnection

from autobot.keys import KeyRecord, KeyRing, Scope


def presented_key(connection: HTTPConnection) -> str | None:
    """The key a client sent: ``Authorization: Bearer``, else ``x-api-key``."""
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return connection.headers.get("x-api-key") or None


def require(scope: Scope) -> Callable[[HTTPConnection], Awaitable[KeyRecord]]:
    """Return a dependency that lets a request through only with a key of ``scope``."""

    async def authorised(connection: HTTPConnection) -> KeyRecord:
        keys: KeyRing = connection.app.state.keys
        return keys.check(presented_key(connection), scope)

    return authorised
