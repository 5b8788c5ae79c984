"""What the VMs of the room answer together: a list of all, or the first that has something."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LIST_TIMEOUT_S = 2.0
CREDENTIALS = ("authorization", "x-api-key")
LIST: TypeAdapter[dict[str, list[Any]]] = TypeAdapter(dict[str, list[Any]])


async def answered(app: ASGIApp, scope: Scope, receive: Receive, send: Send, unless: int) -> bool:
    """Answer by ``app``; with status ``unless`` nothing is sent, and it is False."""
    held_back = False

    async def held(message: Message) -> None:
        nonlocal held_back
        held_back = held_back or message.get("status") == unless
        if not held_back:
            await send(message)

    await app(scope, receive, held)
    return not held_back


def again(body: bytes, receive: Receive) -> Receive:
    """``receive`` with a ``body`` before it that was already read."""
    unread = [body]

    async def from_the_start() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return from_the_start


async def list_of_all(
    app: ASGIApp,
    client: httpx.AsyncClient,
    request: Request,
    others: Mapping[str, str],
    added: Mapping[str, str],
) -> Response:
    """Return ``app``'s list with those of ``others``, the oldest first; who gave none within
    `LIST_TIMEOUT_S` is in its `unreachable`.
    """
    own = await _whole_answer(app, request)
    if own.status_code != 200:
        return own
    given = {name: request.headers[name] for name in CREDENTIALS if name in request.headers}

    async def ask(where: str) -> dict[str, list[Any]]:
        async with asyncio.timeout(LIST_TIMEOUT_S):
            url = f"http://{where}{request.url.path}"
            answer = await client.get(url, headers={**given, **added})
        return LIST.validate_python(answer.raise_for_status().json())

    answers = await asyncio.gather(*map(ask, others.values()), return_exceptions=True)
    listed: dict[str, list[Any]] = json.loads(bytes(own.body))
    for vm, answer in zip(others, answers, strict=True):
        if isinstance(answer, (httpx.HTTPError, TimeoutError, ValueError)):
            listed["unreachable"].append(vm)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for name, items in listed.items():
                items += answer.get(name, [])
    for name, items in listed.items():
        if name != "unreachable":
            items.sort(key=lambda item: item["created"])
    return JSONResponse(listed)


async def _whole_answer(app: ASGIApp, request: Request) -> Response:
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
