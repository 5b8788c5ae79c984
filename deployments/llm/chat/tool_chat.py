"""A chat with tools, out of chats without: text, or valid calls, never half of each."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from autobot.errors import NotKept
from autobot.schemas.json_schema import checked
from deployments.llm.chat.structured import Ask, Fault, cut_off, insisted, json_fault, whole
from deployments.llm.chat.tools import Calls, Toolbox, could_be_call
from deployments.llm.engine import Chat, ChatEvent, ChatRequest, Delta, Finish

RoomEvent = ChatEvent | Calls


@dataclass(slots=True)
class _Held:
    """What was said and not yet passed on, because it may be a call."""

    text: str = ""
    open: bool = True


async def with_tools(ask: Ask, request: ChatRequest, toolbox: Toolbox) -> Chat[RoomEvent]:
    """A chat with tools. Where a call or an answer under a schema was asked for, nothing else is an
    answer: see `structured`."""
    request = replace(request, messages=toolbox.instruct(request.messages))
    if toolbox.forced:
        return await _bound(ask, replace(request, schema=toolbox.schema()), toolbox, toolbox.fault)
    if request.schema is None:
        chat = await ask(request)
        return Chat(chat.start, _free(chat, ask, request, toolbox), aclosing(chat))
    check = checked(request.schema, "the schema")

    def fault(text: str) -> str:
        return "" if toolbox.parse(text) else json_fault(text, check)

    request = replace(request, schema=toolbox.schema(answer=request.schema))
    return await _bound(ask, request, toolbox, fault)


async def _bound(ask: Ask, request: ChatRequest, toolbox: Toolbox, fault: Fault) -> Chat[RoomEvent]:
    """Decoded under the tools' own schemas, and asked again when what came breaks them."""
    chat = await insisted(ask, request, fault, streams=False)
    return Chat(chat.start, _calls_or_text(chat, toolbox), aclosing(chat))


async def _calls_or_text(
    chat: Chat[ChatEvent], toolbox: Toolbox
) -> AsyncGenerator[RoomEvent, None]:
    text = ""
    async for event in chat:
        if isinstance(event, Delta):
            text += event.text
            continue
        if calls := toolbox.parse(text):
            yield Calls(calls)
        elif text:
            yield Delta(text)
        yield event


async def _free(
    chat: Chat[ChatEvent], ask: Ask, request: ChatRequest, toolbox: Toolbox
) -> AsyncGenerator[RoomEvent, None]:
    """Text that may be a call is held back until it is known which.

    A call the model began of its own accord and got wrong is decoded once more, this time under the
    schema of the tool it named. If that fails too, its words are passed on as they are.
    """
    held, finish = _Held(), None
    async for event in chat:
        if isinstance(event, Finish):
            finish = event
        elif passed := _hold(held, event):
            yield passed
    if finish is None:
        raise cut_off(chat)
    calls = toolbox.parse(held.text) if held.open else ()
    name = toolbox.attempted(held.text) if held.open and not calls else None
    if name and finish.reason == "stop":
        bound = toolbox.only(name)
        text, spent = await _again(ask, replace(request, schema=bound.schema()), bound)
        calls = bound.parse(text)
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


async def _again(ask: Ask, request: ChatRequest, bound: Toolbox) -> tuple[str, int]:
    """The text under the schema, or nothing, and the tokens it took."""
    try:
        deltas, finish = await whole(await insisted(ask, request, bound.fault, streams=False))
    except NotKept:
        return "", 0
    return "".join(delta.text for delta in deltas), finish.completion_tokens
