"""`/v1/responses`: stateless or stored, whole or streamed."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter

from autobot.errors import AutoBotError, ContextLengthExceeded
from autobot.web.disconnect import EventStream, unless_disconnected
from deployments.llm.chat import serializers
from deployments.llm.chat.api import Key, authorised, or_gone
from deployments.llm.chat.history import History
from deployments.llm.chat.service import ChatService
from deployments.llm.chat.tool_chat import RoomEvent
from deployments.llm.chat.tools import Toolbox
from deployments.llm.engine import Chat, ChatRequest
from deployments.llm.responses.schemas import Item, ResponseRequest
from deployments.llm.responses.serializers import ResponseWriter
from deployments.llm.responses.store import ResponseStore, Stored

ITEMS: TypeAdapter[list[Item]] = TypeAdapter(list[Item])


def response_routes(service: ChatService, store: ResponseStore) -> APIRouter:
    """The routes of ``service`` and ``store``; each needs a key of scope `llm`."""
    router = APIRouter(tags=["chat"], dependencies=[Depends(authorised)])

    @router.post("/v1/responses", response_model=None)
    @or_gone
    async def create_response(body: ResponseRequest, request: Request, key: Key) -> Response:
        """Answer an input; `previous_response_id` continues a stored one."""
        if body.store and body.previous_response_id is None:  # to fetch one is to reach it
            await store.reach()
        earlier = await _items_before(store, key.id, body.previous_response_id)
        items = [*earlier, *(item.model_dump(exclude_none=True) for item in body.items)]
        question = replace(body.to_engine(ITEMS.validate_python(items)), caller=key.id)
        begin = _begin(service, question, body.toolbox(), trim=body.truncation == "auto")
        chat, dropped = await unless_disconnected(request, begin)
        writer = ResponseWriter(body, chat.start.model, dropped)
        headers = serializers.headers(chat.start) | {"x-autobot-dropped": str(dropped)}

        async def keep() -> None:
            if body.store:
                await store.put(key.id, Stored(items, writer.response))

        if body.stream:
            return EventStream(_stream(writer, chat, keep), chat, headers)
        await unless_disconnected(request, _run(writer, chat))
        await keep()
        return JSONResponse(writer.response, headers=headers)

    @router.get("/v1/responses/{name}")
    async def get_response(name: str, key: Key) -> dict[str, Any]:
        """Return a stored response of this key; 404 for another's and for one that has expired."""
        return (await store.get(key.id, name)).response

    @router.get("/v1/responses/{name}/input_items")
    async def list_input_items(name: str, key: Key) -> dict[str, Any]:
        """List what a stored response was made from, oldest first."""
        items = (await store.get(key.id, name)).items
        data = [{"id": f"{name}_{index}", **item} for index, item in enumerate(items)]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
        return {"object": "list", "data": data, "has_more": False, **ends}

    @router.delete("/v1/responses/{name}")
    async def delete_response(name: str, key: Key) -> dict[str, Any]:
        """Delete a stored response of this key."""
        await store.delete(key.id, name)
        return {"id": name, "object": "response", "deleted": True}

    return router


async def _items_before(store: ResponseStore, owner: str, name: str | None) -> list[dict[str, Any]]:
    if name is None:
        return []
    stored = await store.get(owner, name)
    return [*stored.items, *stored.response["output"]]


async def _begin(
    service: ChatService, request: ChatRequest, toolbox: Toolbox | None, *, trim: bool
) -> tuple[Chat[RoomEvent], int]:
    """Start the chat; with `trim`, without as many of its oldest messages as do not fit.

    Returns how many were left out. The system's words and the last message always stay.
    """
    history = History(request.messages)
    while True:
        try:
            chat = await service.chat(replace(request, messages=history.kept), toolbox)
            return chat, history.dropped
        except ContextLengthExceeded as error:
            if not trim or not history.shorten(error):
                raise


async def _run(writer: ResponseWriter, chat: Chat[RoomEvent]) -> None:
    async with aclosing(chat):
        async for event in chat:
            for _ in writer.add(event):
                pass


async def _stream(
    writer: ResponseWriter, chat: Chat[RoomEvent], keep: Callable[[], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    """The stream; its last event is sent when the response is stored."""
    for piece in writer.begin():
        yield piece
    try:
        async for event in chat:
            for piece in writer.add(event):
                yield piece
        await keep()
        yield writer.end()
    except AutoBotError as error:
        yield writer.fail("server_error", error.detail)
