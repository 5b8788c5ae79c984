"""`/v1/models` and `/v1/chat/completions`, as OpenAI's clients know them."""

from collections.abc import Awaitable, Callable
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
from deployments.llm.chat.n_sampling import choices, collect, repeated
from deployments.llm.chat.schemas import ChatCompletionRequest
from deployments.llm.chat.service import ChatService

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
        requests = repeated(replace(body.to_engine(), caller=key.id), n)
        chat = await unless_disconnected(request, choices(service, requests, body.toolbox()))
        if body.stream:
            chunks = serializers.Chunks(chat.start, n, body.wants_usage).of(chat)
            return EventStream(chunks, chat, serializers.headers(chat.start))
        answers = await unless_disconnected(request, collect(chat, n))
        whole = serializers.completion(answers).model_dump(exclude_none=False)
        return JSONResponse(_trimmed(whole), headers=serializers.headers(chat.start))

    return router


def _trimmed(whole: dict[str, object]) -> dict[str, object]:
    """OpenAI leaves `tool_calls` out where there are none; some clients take null for a list."""
    for choice in whole["choices"]:  # pyright: ignore
        if choice["message"]["tool_calls"] is None:
            del choice["message"]["tool_calls"]
    return whole
