"""`/v1/responses`: stateless or stored, whole or streamed."""

from collections.abc import AsyncGenerator
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
from deployments.llm.chat.tool_chat import RoomStream
from deployments.llm.chat.tools import Toolbox
from deployments.llm.engine import ChatRequest, Start
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
        earlier = await _said_before(store, key.id, body.previous_response_id)
        said = [*earlier, *(item.model_dump(exclude_none=True) for item in body.items)]
        asked = replace(body.to_engine(ITEMS.validate_python(said)), caller=key.id)
        trim = body.truncation == "auto"
        begun = await unless_disconnected(request, _begin(service, asked, body.toolbox(), trim))
        start, events, dropped = begun
        writer = ResponseWriter(body, start.model, dropped)
        headers = serializers.headers(start) | {"x-autobot-dropped": str(dropped)}

        async def keep() -> None:
            if body.store:
                await store.put(key.id, Stored(said, writer.response))

        if body.stream:
            return EventStream(_told(writer, events, keep), events, headers)
        await unless_disconnected(request, _run(writer, events))
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
        told = [{"id": f"{name}_{index}", **item} for index, item in enumerate(items)]
        ends = {"first_id": told[0]["id"], "last_id": told[-1]["id"]} if told else {}
        return {"object": "list", "data": told, "has_more": False, **ends}

    @router.delete("/v1/responses/{name}")
    async def delete_response(name: str, key: Key) -> dict[str, Any]:
        """Delete a stored response of this key."""
        await store.delete(key.id, name)
        return {"id": name, "object": "response", "deleted": True}

    return router


async def _said_before(store: ResponseStore, owner: str, name: str | None) -> list[dict[str, Any]]:
    if name is None:
        return []
    stored = await store.get(owner, name)
    return [*stored.items, *stored.response["output"]]


async def _begin(
    service: ChatService, asked: ChatRequest, toolbox: Toolbox | None, trim: bool
) -> tuple[Start, RoomStream, int]:
    """Start the chat; with `trim`, without as many of its oldest messages as do not fit.

    Returns how many were left out. The system's words and the last message always stay.
    """
    history = History(asked.messages)
    while True:
        events = service.chat(replace(asked, messages=history.kept), toolbox)
        try:
            start = await anext(events)
            assert isinstance(start, Start)  # the contract of every engine
            return start, events, history.dropped
        except ContextLengthExceeded as error:
            if not trim or not history.shorten(error):
                raise
        except BaseException:
            await events.aclose()
            raise


async def _run(writer: ResponseWriter, events: RoomStream) -> None:
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, Start):
                for _ in writer.add(event):
                    pass


async def _told(
    writer: ResponseWriter, events: RoomStream, keep: Any
) -> AsyncGenerator[bytes, None]:
    """The stream; its last event is sent when the response is stored."""
    for told in writer.begin():
        yield told
    try:
        async for event in events:
            if not isinstance(event, Start):
                for told in writer.add(event):
                    yield told
        await keep()
        yield writer.end()
    except AutoBotError as error:
        yield writer.fail("server_error", error.detail)
