"""``/ollama`` at the ingress: passed on, as it comes, to the room's own port on the same VM.

Serve gives each application one path prefix, and ``/v1`` has the engines' replica. A second replica
with engines of its own would load every model twice; this one loads nothing.
"""

import httpx
from fastapi import APIRouter, Depends, Request, Response

from autobot.errors import Unavailable
from autobot.settings import Settings
from autobot.web.auth import require
from autobot.web.forward import ask, passed_on
from deployments.llm.chat.api import or_gone

METHODS = ["GET", "POST", "DELETE", "HEAD"]


def own_port_client(settings: Settings) -> httpx.AsyncClient:
    """A client of the room's own port on this VM; callers' keys pass through it."""
    host = "127.0.0.1" if settings.bind == "0.0.0.0" else settings.bind
    return httpx.AsyncClient(
        base_url=f"http://{host}:{settings.llm_port}",
        timeout=httpx.Timeout(600.0, connect=2.0),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
        trust_env=False,
    )


def forward_routes(client: httpx.AsyncClient) -> APIRouter:
    """Everything below ``/ollama`` to the server `client` is made for, which checks the key again.

    Nothing there but the root is open to a key without `llm`: no such key's body is read here.
    """
    router = APIRouter(include_in_schema=False)
    keyed = APIRouter(dependencies=[Depends(require("llm"))])

    @router.api_route("/ollama", methods=["GET", "HEAD"], response_model=None)
    @router.api_route("/ollama/", methods=["GET", "HEAD"], response_model=None)
    @keyed.api_route("/ollama/{path:path}", methods=METHODS, response_model=None)
    @or_gone
    async def pass_on(request: Request) -> Response:
        """Send the request to the room's own port, and its answer back as it comes."""
        try:
            return passed_on(await ask(request, client))
        except httpx.TransportError as error:
            raise Unavailable("Room llm does not answer at the moment.") from error

    router.include_router(keyed)
    return router
