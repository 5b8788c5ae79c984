"""A chat with tools, out of chats without: text, or valid calls, never half of each."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from deployments.llm.engine import ChatEvent, ChatRequest, ChatStream, Delta, Finish, Start
from deployments.llm.tools import Calls, Toolbox, could_be_call

Chat = Callable[[ChatRequest], ChatStream]
RoomEvent = ChatEvent | Calls
RoomStream = AsyncGenerator[RoomEvent, None]


@dataclass(slots=True)
class _Held:
    """What was said and not yet passed on, because it may be a call."""

    text: str = ""
    open: bool = True


async def with_tools(chat: Chat, request: ChatRequest, toolbox: Toolbox) -> RoomStream:
    """The events of `request`; text that may be a call is held back until it is known which.

    A call the model began of its own accord and got wrong is decoded once more, this time under the
    schema of the tool it named. If that fails too, its words are passed on as they are.
    """
    request = replace(request, messages=toolbox.instruct(request.messages))
    if toolbox.forced:
        request = replace(request, schema=toolbox.schema())
    elif request.schema is not None:
        request = replace(request, schema=toolbox.schema(answer=request.schema))
    held, finish = _Held(), None
    async with aclosing(chat(request)) as events:
        async for event in events:
            if isinstance(event, Finish):
                finish = event
            elif isinstance(event, Start):
                yield event
            elif passed := _hold(held, event, toolbox.forced):
                yield passed
    assert finish  # the contract of every engine
    calls = toolbox.parse(held.text) if held.open else ()
    name = toolbox.attempted(held.text) if held.open and not calls else None
    if name and request.schema is None and finish.reason == "stop":
        bound = toolbox.only(name)
        said, second = await _gather(chat, replace(request, schema=bound.schema()))
        calls = bound.parse(said)
        spent = finish.completion_tokens + second.completion_tokens
        finish = replace(finish, completion_tokens=spent)
    if calls:
        yield Calls(calls)
    elif held.text:
        yield Delta(held.text)
    yield finish


def _hold(held: _Held, event: Delta, forced: bool) -> Delta | None:
    """Add to what is held; return it all as soon as it can no longer be a call."""
    if not held.open:
        return event
    held.text += event.text
    if forced or could_be_call(held.text):
        return None
    passed, held.text, held.open = Delta(held.text), "", False
    return passed


async def _gather(chat: Chat, request: ChatRequest) -> tuple[str, Finish]:
    text, finish = "", None
    async with aclosing(chat(request)) as events:
        async for event in events:
            if isinstance(event, Delta):
                text += event.text
            elif isinstance(event, Finish):
                finish = event
    assert finish
    return text, finish
