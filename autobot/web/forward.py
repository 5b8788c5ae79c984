"""A request passed on, as it comes, to another server of the platform, which checks the key."""

from collections.abc import AsyncGenerator, Mapping

import httpx
from fastapi import Request, Response
from starlette.datastructures import Headers

from autobot.web.disconnect import Streamed, unless_disconnected

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}
OURS = {"server", "date", "vary"}  # set again on the way out


def passing(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The ``headers`` that are about the request and not about the connection it came by."""
    return [(name, value) for name, value in headers.raw if name.decode() not in HOP_BY_HOP]


async def ask(
    request: Request,
    client: httpx.AsyncClient,
    root: str = "",
    added: Mapping[str, str] | None = None,
    timeout: httpx.Timeout | None = None,
) -> httpx.Response:
    """Ask the same below ``root``, with headers ``added``; the answer's body is still to be read.

    Raises `httpx.TransportError` when nobody answers there, `ClientDisconnect` when the caller
    hangs up before the answer begins.
    """
    more = [(name.encode(), value.encode()) for name, value in (added or {}).items()]
    asked = client.build_request(
        request.method,
        httpx.URL(root + request.url.path, query=request.url.query.encode()),
        content=await request.body(),
        headers=[*passing(request.headers), *more],
        timeout=timeout or client.timeout,
    )
    return await unless_disconnected(request, client.send(asked, stream=True))


def passed_on(answer: httpx.Response) -> Response:
    """Return what `ask` got, to be sent as it arrives.

    A caller's hang-up closes the connection, which tells the other side of it; a side that breaks
    off breaks this answer off too.
    """
    passed = {k: v for k, v in answer.headers.items() if k not in HOP_BY_HOP | OURS}
    return Streamed(_pieces(answer), answer, answer.status_code, passed)


async def _pieces(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for piece in answer.aiter_raw():
        yield piece
