"""Ollama's API. At the ingress under ``/ollama/api``; on the room's own port under ``/api`` too."""

import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from autobot import __version__
from autobot.contracts.embeddings import EmbeddingRequest, Vectors
from autobot.errors import AutoBotError, Invalid
from autobot.web.auth import require
from autobot.web.disconnect import unless_disconnected
from deployments.llm.chat import serializers as chat_serializers
from deployments.llm.chat.api import Key, authorised, or_gone
from deployments.llm.chat.service import ChatService
from deployments.llm.chat.tool_chat import RoomEvent
from deployments.llm.engine import Chat, Start
from deployments.llm.models.manager import ModelManager
from deployments.llm.ollama_api import serializers
from deployments.llm.ollama_api.schemas import (
    Asked,
    EmbedRequest,
    GenerateRequest,
    OllamaChatRequest,
)
from deployments.llm.ollama_api.serializers import Lines, NdJson, line

API_LEVEL = "0.12.6"
"""The release of Ollama whose API this is: clients ask to know what they may use."""


class Embedder(Protocol):
    async def embed(self, request: EmbeddingRequest) -> Vectors:
        """One vector a text. Raises as `Embeddings.embed`."""
        ...


def ollama_routes(service: ChatService, manager: ModelManager, embedder: Embedder) -> APIRouter:
    """Chats need a key of scope `llm`; fetching and deleting models one of scope `admin`."""
    router = APIRouter(tags=["ollama"])
    router.include_router(_talking(service, manager, embedder), prefix="/ollama/api")
    router.include_router(_models(service, manager), prefix="/ollama/api")
    router.include_router(_keeping(manager), prefix="/ollama/api")

    @router.get("/ollama", include_in_schema=False)
    @router.get("/ollama/")
    @router.head("/ollama", include_in_schema=False)
    @router.head("/ollama/", include_in_schema=False)
    async def is_running() -> PlainTextResponse:
        """Ollama's word that it is there; it needs no key."""
        return PlainTextResponse("Ollama is running")

    return router


def _talking(service: ChatService, manager: ModelManager, embedder: Embedder) -> APIRouter:
    router = APIRouter(dependencies=[Depends(authorised)])

    @router.post("/chat", response_model=None)
    @or_gone
    async def chat(body: OllamaChatRequest, request: Request, key: Key) -> Response:
        """Answer a chat, line by line unless `stream` is false.

        Without messages it loads the model, or with `keep_alive` 0 unloads it.
        """
        if not body.messages:
            return await _loaded(manager, body.model, body.keep_alive, {"message": _EMPTY})
        begin = service.chat(replace(body.to_engine(), caller=key.id), body.toolbox())
        return await _answer(begin, request, body.stream, is_chat=True)

    @router.post("/generate", response_model=None)
    @or_gone
    async def generate(body: GenerateRequest, request: Request, key: Key) -> Response:
        """Continue a prompt, line by line unless `stream` is false.

        An empty one loads the model, or with `keep_alive` 0 unloads it.
        """
        if not body.prompt:
            return await _loaded(manager, body.model, body.keep_alive, {"response": ""})
        begin = service.chat(replace(body.to_engine(), caller=key.id))
        return await _answer(begin, request, body.stream, is_chat=False)

    @router.post("/embed", response_model=None)
    @or_gone
    async def embed(body: EmbedRequest, request: Request, key: Key) -> Response:
        """A text that does not fit is cut at its end, and `x-autobot-cut` says how many were; with
        `truncate` false it is refused with the numbers."""
        if not body.texts:
            return JSONResponse({"model": body.model, "embeddings": []})
        vectors, took_ns = await _embedded(embedder, body, request, key.id)
        answer = {
            "model": vectors.model,
            "embeddings": vectors.vectors,
            "total_duration": took_ns,
            "load_duration": 0,
            "prompt_eval_count": vectors.tokens,
        }
        return JSONResponse(answer, headers=_origin(vectors))

    @router.post("/embeddings", response_model=None)
    @or_gone
    async def embeddings(body: EmbedRequest, request: Request, key: Key) -> Response:
        """Embed one text, in the older form: `prompt` in, one `embedding` out."""
        if not body.texts:
            return JSONResponse({"embedding": []})
        if len(body.texts) > 1:
            raise Invalid("prompt: one text is embedded here; /api/embed takes several.")
        vectors, _ = await _embedded(embedder, body, request, key.id)
        return JSONResponse({"embedding": vectors.vectors[0]}, headers=_origin(vectors))

    return router


def _models(service: ChatService, manager: ModelManager) -> APIRouter:
    router = APIRouter(dependencies=[Depends(require("llm"))])

    @router.get("/tags")
    async def tags() -> dict[str, Any]:
        """List the models of all engines, with their sizes in bytes."""
        return {"models": [serializers.tag(card) for card in await service.models()]}

    @router.get("/ps")
    async def ps() -> dict[str, Any]:
        """List the models that are in memory, and when each leaves it."""
        return {"models": [serializers.running(card) for card in await manager.running()]}

    @router.post("/show")
    async def show(body: Asked) -> dict[str, Any]:
        """Return what is known of one model: its template, parameters and details."""
        return await manager.show(body.model)

    @router.get("/version")
    async def version() -> dict[str, str]:
        """Return the version of Ollama's API that is kept here, and AutoBot's own."""
        return {"version": API_LEVEL, "autobot": __version__}

    return router


def _keeping(manager: ModelManager) -> APIRouter:
    router = APIRouter(dependencies=[Depends(require("admin"))])

    @router.post("/pull", response_model=None)
    @or_gone
    async def pull(body: Asked, request: Request) -> Response:
        """Fetch a model of the catalogue, or through the Ollama server; progress line by line."""
        steps = manager.pull(body.model)
        first = await unless_disconnected(request, _next(steps))
        if body.stream:
            return NdJson(_step_lines(first, steps), steps, {})
        last = await unless_disconnected(request, _last(first, steps))
        return JSONResponse(last)

    @router.delete("/delete")
    async def delete(body: Asked) -> Response:
        """Remove a model from this machine's catalogue, or from the Ollama server that has it."""
        await manager.delete(body.model)
        return Response(status_code=200)

    return router


_EMPTY = {"role": "assistant", "content": ""}


async def _loaded(
    manager: ModelManager, name: str, keep_alive_s: float | None, empty: dict[str, Any]
) -> Response:
    card = await manager.load(name, keep_alive_s)
    reason = "unload" if keep_alive_s == 0 else "load"
    answer = {"model": card.name, "created_at": serializers.stamp(), **empty}
    return JSONResponse(answer | {"done": True, "done_reason": reason})


async def _answer(
    begin: Coroutine[Any, Any, Chat[RoomEvent]], request: Request, stream: bool, *, is_chat: bool
) -> Response:
    began = time.monotonic()
    chat = await unless_disconnected(request, begin)
    lines, headers = Lines(chat.start, began, is_chat), chat_serializers.headers(chat.start)
    if stream:
        return NdJson(lines.of(chat), chat, headers)
    whole = await unless_disconnected(request, lines.whole(chat))
    return JSONResponse(whole, headers=headers)


async def _next(events: AsyncGenerator[Any, None]) -> Any:
    return await anext(events)


async def _step_lines(
    first: dict[str, Any], steps: AsyncGenerator[dict[str, Any], None]
) -> AsyncGenerator[bytes, None]:
    yield line(first)
    try:
        async for step in steps:
            yield line(step)
    except AutoBotError as error:  # the status is sent: an error is the last line
        yield line({"error": error.detail})


async def _last(
    first: dict[str, Any], steps: AsyncGenerator[dict[str, Any], None]
) -> dict[str, Any]:
    last = first
    async with aclosing(steps):
        async for step in steps:
            last = step
    return {"status": last.get("status", "success")}


async def _embedded(
    embedder: Embedder, body: EmbedRequest, request: Request, caller: str
) -> tuple[Vectors, int]:
    began = time.monotonic()
    texts = EmbeddingRequest(body.model, body.texts, body.dimensions, body.truncate, caller)
    vectors = await unless_disconnected(request, embedder.embed(texts))
    return vectors, int((time.monotonic() - began) * serializers.NS)


def _origin(vectors: Vectors) -> dict[str, str]:
    return chat_serializers.headers(Start(vectors.model, vectors.engine, vectors.device)) | {
        "x-autobot-cut": str(vectors.cut)
    }


class OllamaPaths:
    """Requests as Ollama takes them. On the room's own port ``/`` and ``/api/...`` mean
    ``/ollama/`` and ``/ollama/api/...``. Bodies are JSON, whatever their type says: curl sends
    ``-d`` as a form.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == "/" or path.startswith("/api/"):
                path = f"/ollama{path}"
                scope = {**scope, "path": path, "raw_path": path.encode()}
            if path.startswith("/ollama/api/"):
                headers = [(k, v) for k, v in scope["headers"] if k != b"content-type"]
                scope = {**scope, "headers": [*headers, (b"content-type", b"application/json")]}
        await self._app(scope, receive, send)
