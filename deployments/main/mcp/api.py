"""`/mcp`: the Model Context Protocol over streamable HTTP."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI
from fastapi.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from autobot.tools.registry import Registry
from autobot.web.auth import admit, presented_key
from deployments.main.mcp.server import CALLER, mcp_server


class Endpoint:
    """The server behind the check of keys; any key will do, its scopes decide about the tools.

    Only POST: a server that keeps nothing has no stream to GET and no session to DELETE.
    """

    reads_json = True

    def __init__(self, registry: Registry, max_body_bytes: int) -> None:
        self._manager = mcp_server(registry, max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        scope[CALLER] = admit(connection, presented_key(connection))
        await self._manager.handle_request(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Serve for as long as the application lives."""
        async with self._manager.run():
            yield


def mcp_routes(registry: Registry, max_body_bytes: int) -> APIRouter:
    """Return the endpoint of the registry's tools."""
    endpoint = Endpoint(registry, max_body_bytes)
    router = APIRouter(lifespan=endpoint.running)
    router.routes.append(Route("/mcp", endpoint, methods=["POST"]))
    return router
