"""`/v1/models` and `/v1/chat/completions`, as OpenAI's clients know them."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import wraps
from typing import Annotated, ParamSpec

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import EventStream, unless_disconnected
from deployments.llm.chat import serializers
from deployments.llm.chat.answers import ChatCompletion, Model, ModelList
from deployments.llm.chat.n_sampling import Indexed, choices, repeated
from deployments.llm.chat.schemas import ChatCompletionRequest
from deployments.llm.chat.service import Answer, ChatService, gather
from deployments.llm.chat.tool_chat import RoomEvent
from deployments.llm.engine import Start

CLIENT_GONE = 499
"""Nobody reads this status but the metrics: the caller hung up before the answer began."""

authorised = require("llm")
Key = Annotated[KeyRecord, Depends(authorised)]

P = ParamSpec("P")


def or_gone(route: Callable[P, Awaitable[Response]]) -> Callable[P, Awaitable[Response]]:
    """Answer a caller that hung up with a status for the metrics."""

    @wraps(route)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return await route(*args, **kwargs)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)

    return guarded


def chat_routes(service: ChatService) -> APIRouter:
    """The routes of ``service``; each needs a key of scope `llm`."""
    router = APIRouter(tags=["chat"], dependencies=[Depends(authorised)])

    @router.get("/v1/models")
    async def list_models() -> ModelList:
        """List every model a chat may name, of all engines; each name once."""
        cards = await service.offered()
        return ModelList(data=[serializers.model(card, service.default) for card in cards])

    @router.get("/v1/models/{name:path}")
    async def get_model(name: str) -> Model:
        """Return one model; `default` is the owner's choice. 404 names those that there are."""
        return serializers.model(await service.offer(name), service.default)

    @router.post("/v1/chat/completions", response_model=ChatCompletion)
    @or_gone
    async def create_chat_completion(
        body: ChatCompletionRequest, request: Request, key: Key
    ) -> Response:
        """Answer a chat; with `stream` as server-sent events of `chat.completion.chunk`."""
        n = body.n or 1
        asked = replace(body.to_engine(), caller=key.id)
        events = choices(service, repeated(asked, n), body.toolbox())
        if body.stream:
            start = await first(request, events)
            chunks = serializers.Chunks(start, n, body.wants_usage).of(events)
            return EventStream(chunks, events, serializers.headers(start))
        answers = await unless_disconnected(request, gather_all(events, n))
        whole = serializers.completion(answers).model_dump(exclude_none=False)
        return JSONResponse(_trimmed(whole), headers=serializers.headers(answers[0].start))

    return router


async def first(request: Request, events: Indexed) -> Start:
    """Begin the answer only when the engine has: until then an error still has its own status."""
    try:
        _, start = await unless_disconnected(request, _next(events))
    except BaseException:
        await events.aclose()
        raise
    assert isinstance(start, Start)  # the contract of every engine
    return start


async def gather_all(events: Indexed, n: int) -> list[Answer]:
    """Read every choice to its end."""
    found: list[list[RoomEvent]] = [[] for _ in range(n)]
    async with aclosing(events):
        async for index, event in events:
            found[index].append(event)
    start = next(e for one in found for e in one if isinstance(e, Start))
    return [gather(start, one) for one in found]


async def _next(events: Indexed) -> tuple[int, RoomEvent]:
    return await anext(events)


def _trimmed(whole: dict[str, object]) -> dict[str, object]:
    """OpenAI leaves `tool_calls` out where there are none; some clients take null for a list."""
    for choice in whole["choices"]:  # pyright: ignore
        if choice["message"]["tool_calls"] is None:
            del choice["message"]["tool_calls"]
    return whole
