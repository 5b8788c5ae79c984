"""A chat with tools, out of chats without: text, or valid calls, never half of each."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from autobot.errors import NotKept
from autobot.schemas.json_schema import checked
from deployments.llm.chat.structured import Fault, insisted, json_fault
from deployments.llm.chat.tools import Calls, Toolbox, could_be_call
from deployments.llm.engine import ChatEvent, ChatRequest, ChatStream, Delta, Finish, Start

Chat = Callable[[ChatRequest], ChatStream]
RoomEvent = ChatEvent | Calls
RoomStream = AsyncGenerator[RoomEvent, None]


@dataclass(slots=True)
class _Held:
    """What was said and not yet passed on, because it may be a call."""

    text: str = ""
    open: bool = True


def with_tools(chat: Chat, request: ChatRequest, toolbox: Toolbox) -> RoomStream:
    """The events of `request`. Where a call or an answer under a schema was asked for, nothing else
    is an answer: see `structured`."""
    request = replace(request, messages=toolbox.instruct(request.messages))
    if toolbox.forced:
        return _bound(chat, replace(request, schema=toolbox.schema()), toolbox, toolbox.fault)
    if request.schema is None:
        return _free(chat, request, toolbox)
    check = checked(request.schema, "the schema")

    def fault(text: str) -> str:
        return "" if toolbox.parse(text) else json_fault(text, check)

    request = replace(request, schema=toolbox.schema(answer=request.schema))
    return _bound(chat, request, toolbox, fault)


async def _bound(chat: Chat, request: ChatRequest, toolbox: Toolbox, fault: Fault) -> RoomStream:
    """Decoded under the tools' own schemas, and asked again when what came breaks them."""
    text = ""
    async with aclosing(insisted(chat, request, fault, streams=False)) as events:
        async for event in events:
            if isinstance(event, Start):
                yield event
            elif isinstance(event, Delta):
                text += event.text
            elif calls := toolbox.parse(text):
                yield Calls(calls)
                yield event
            else:
                if text:
                    yield Delta(text)
                yield event


async def _free(chat: Chat, request: ChatRequest, toolbox: Toolbox) -> RoomStream:
    """Text that may be a call is held back until it is known which.

    A call the model began of its own accord and got wrong is decoded once more, this time under the
    schema of the tool it named. If that fails too, its words are passed on as they are.
    """
    held, finish = _Held(), None
    async with aclosing(chat(request)) as events:
        async for event in events:
            if isinstance(event, Finish):
                finish = event
            elif isinstance(event, Start):
                yield event
            elif passed := _hold(held, event):
                yield passed
    assert finish  # the contract of every engine
    calls = toolbox.parse(held.text) if held.open else ()
    name = toolbox.attempted(held.text) if held.open and not calls else None
    if name and finish.reason == "stop":
        bound = toolbox.only(name)
        said, spent = await _again(chat, replace(request, schema=bound.schema()), bound)
        calls = bound.parse(said)
        finish = replace(finish, completion_tokens=finish.completion_tokens + spent)
    if calls:
        yield Calls(calls)
    elif held.text:
        yield Delta(held.text)
    yield finish


def _hold(held: _Held, event: Delta) -> Delta | None:
    """Add to what is held; return it all as soon as it can no longer be a call."""
    if not held.open:
        return event
    held.text += event.text
    if could_be_call(held.text):
        return None
    passed, held.text, held.open = Delta(held.text), "", False
    return passed


async def _again(chat: Chat, request: ChatRequest, bound: Toolbox) -> tuple[str, int]:
    """The text under the schema, or nothing, and the tokens it took."""
    text, spent = "", 0
    try:
        async with aclosing(insisted(chat, request, bound.fault, streams=False)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    text += event.text
                elif isinstance(event, Finish):
                    spent = event.completion_tokens
    except NotKept:
        return "", spent
    return text, spent
