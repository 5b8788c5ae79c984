"""``/ollama`` at the ingress: passed on, as it comes, to the room's own port on the same VM.

Serve gives each application one path prefix, and ``/v1`` has the engines' replica. A second replica
with engines of its own would load every model twice; this one loads nothing.
"""

import httpx
from fastapi import APIRouter, Request, Response

from autobot.errors import Unavailable
from autobot.web.forward import ask, passed_on
from deployments.llm.routes import or_gone

METHODS = ["GET", "POST", "DELETE", "HEAD"]


def forward_routes(client: httpx.AsyncClient) -> APIRouter:
    """Everything below ``/ollama`` to the server `client` is made for, which checks the key."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/ollama", methods=METHODS, response_model=None)
    @router.api_route("/ollama/{path:path}", methods=METHODS, response_model=None)
    @or_gone
    async def pass_on(request: Request) -> Response:
        try:
            return passed_on(await ask(request, client))
        except httpx.TransportError as error:
            raise Unavailable("Room llm does not answer at the moment.") from error

    return router
