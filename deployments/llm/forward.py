"""``/ollama`` at the ingress: passed on, as it comes, to the room's own port on the same VM.

Serve gives each application one path prefix, and ``/v1`` has the engines' replica. A second replica
with engines of its own would load every model twice; this one loads nothing.
"""

from collections.abc import AsyncGenerator

import httpx
from fastapi import APIRouter, Request, Response

from autobot.errors import Unavailable
from autobot.web.hangup import EventStream, unless_hung_up
from deployments.llm.routes import or_gone

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "host"}
OURS = {"server", "date", "content-length", "vary"}  # set again on the way out
METHODS = ["GET", "POST", "DELETE", "HEAD"]


def forward_routes(client: httpx.AsyncClient) -> APIRouter:
    """Everything below ``/ollama`` to the server `client` is made for, which checks the key."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/ollama/{path:path}", methods=METHODS, response_model=None)
    @or_gone
    async def forward(path: str, request: Request) -> Response:
        headers = [(k, v) for k, v in request.headers.items() if k not in HOP_BY_HOP]
        asked = client.build_request(
            request.method,
            httpx.URL(f"/ollama/{path}", query=request.url.query.encode()),
            content=await request.body(),
            headers=headers,
        )
        try:
            answer = await unless_hung_up(request, client.send(asked, stream=True))
        except httpx.TransportError as error:
            raise Unavailable("Room llm does not answer at the moment.") from error
        source = _pieces(answer)
        passed = {k: v for k, v in answer.headers.items() if k not in HOP_BY_HOP | OURS}
        response = EventStream(source, source, passed)
        response.status_code = answer.status_code
        response.headers["content-type"] = answer.headers.get("content-type", "text/plain")
        return response

    return router


async def _pieces(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it arrives. Closing it closes the connection, which tells the room of a hang-up;
    a room that breaks off breaks this answer off too."""
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
