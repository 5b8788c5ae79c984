"""What this VM's application answers, looked at before it is sent; and lists put together."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Send

from autobot.web.forward import passing

LIST_TIMEOUT_S = 2.0


async def found_here(app: ASGIApp, request: Request, send: Send) -> bool:
    """Answer by ``app``, unless it finds nothing: then nothing is sent, and it is False."""
    missing = False

    async def unless_missing(message: Message) -> None:
        nonlocal missing
        missing = missing or message.get("status") == 404
        if not missing:
            await send(message)

    await app(request.scope, request.receive, unless_missing)
    return not missing


async def list_of_all(
    app: ASGIApp,
    client: httpx.AsyncClient,
    request: Request,
    others: Mapping[str, str],
    added: Mapping[str, str],
) -> Response:
    """Return ``app``'s list with those of ``others``; who gave none is in its `unreachable`."""
    own = await _answer(app, request)
    if own.status_code != 200:
        return own
    headers = [*passing(request.headers.items()), *added.items()]

    async def ask(where: str) -> Any:
        url = f"http://{where}{request.url.path}"
        answer = await client.get(url, headers=headers, timeout=LIST_TIMEOUT_S)
        return answer.raise_for_status().json()

    answers = await asyncio.gather(*map(ask, others.values()), return_exceptions=True)
    listed: dict[str, Any] = json.loads(bytes(own.body))
    for vm, answer in zip(others, answers, strict=True):
        if isinstance(answer, (httpx.HTTPError, ValueError)):
            listed["unreachable"].append(vm)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for name, items in answer.items():
                listed[name] += items
    return JSONResponse(listed)


async def _answer(app: ASGIApp, request: Request) -> Response:
    """The whole of what ``app`` answers."""
    response = Response()
    parts: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status_code = message["status"]
            response.raw_headers = list(message["headers"])
        parts.append(message.get("body", b""))

    await app(request.scope, request.receive, keep)
    response.body = b"".join(parts)
    return response
