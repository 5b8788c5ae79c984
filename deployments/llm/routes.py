"""`/v1/models` and `/v1/chat/completions`, as OpenAI's clients know them."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from autobot.web.auth import require
from autobot.web.hangup import EventStream, unless_hung_up
from deployments.llm import wire
from deployments.llm.engine import ChatStream, Start
from deployments.llm.schemas import ChatCompletion, ChatCompletionRequest, Model, ModelList
from deployments.llm.service import ChatService

CLIENT_GONE = 499
"""Nobody reads this status but the metrics: the caller hung up before the answer began."""


def chat_routes(service: ChatService) -> APIRouter:
    """The routes of ``service``; each needs a key of scope `llm`."""
    router = APIRouter(tags=["chat"], dependencies=[Depends(require("llm"))])

    @router.get("/v1/models")
    async def list_models() -> ModelList:
        cards = await service.models()
        return ModelList(data=[wire.model(card, service.default) for card in cards])

    @router.get("/v1/models/{name:path}")
    async def get_model(name: str) -> Model:
        return wire.model(await service.model(name), service.default)

    @router.post("/v1/chat/completions", response_model=ChatCompletion)
    async def create_chat_completion(body: ChatCompletionRequest, request: Request) -> Response:
        """Answer a chat; with `stream` as server-sent events of `chat.completion.chunk`."""
        try:
            return await (_streamed if body.stream else _whole)(service, body, request)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)

    return router


async def _whole(service: ChatService, body: ChatCompletionRequest, request: Request) -> Response:
    answer = await unless_hung_up(request, service.answer(body.to_engine()))
    return JSONResponse(wire.completion(answer).model_dump(), headers=wire.headers(answer.start))


async def _streamed(
    service: ChatService, body: ChatCompletionRequest, request: Request
) -> Response:
    """Begin the answer only when the engine has: until then an error still has its own status."""
    events = service.chat(body.to_engine())
    try:
        start = await unless_hung_up(request, _first(events))
    except BaseException:
        await events.aclose()
        raise
    chunks = wire.chunks(start, events, body.wants_usage)
    return EventStream(chunks, events, wire.headers(start))


async def _first(events: ChatStream) -> Start:
    first = await anext(events)
    assert isinstance(first, Start)  # the contract of every engine
    return first
