"""Several answers at once, as one chat of (which, event)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from deployments.llm.chat.service import ChatService
from deployments.llm.chat.structured import cut_off
from deployments.llm.chat.tool_chat import RoomEvent
from deployments.llm.chat.tools import Calls, Toolbox, ToolCall
from deployments.llm.engine import Chat, ChatRequest, Delta, Finish, Start, TokenLogprob

Indexed = tuple[int, RoomEvent]
IndexedEvents = AsyncGenerator[Indexed, None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: text, or calls."""

    start: Start
    text: str
    finish: Finish
    calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


async def choices(
    service: ChatService, requests: Sequence[ChatRequest], toolbox: Toolbox | None = None
) -> Chat[Indexed]:
    """Run all `requests`, each in a slot of its own. The start is that of whichever begins first.

    Closing the chat stops them all, and so does the first error.
    """
    if len(requests) == 1:
        chat = await service.chat(requests[0], toolbox)
        return Chat(chat.start, _numbered(chat), aclosing(chat))
    async with AsyncExitStack() as held:
        runs = await held.enter_async_context(_beside_each_other(service, requests, toolbox))
        start = await runs.starts.get()
        if isinstance(start, Exception):
            raise start
        return Chat(start, runs.merged(len(requests)), held.pop_all())


class _Runs:
    """Where chats that run beside each other say what happens: `None` is the end of one."""

    def __init__(self) -> None:
        self.starts: asyncio.Queue[Start | Exception] = asyncio.Queue()
        self.events: asyncio.Queue[Indexed | Exception | None] = asyncio.Queue()

    async def run(
        self, service: ChatService, request: ChatRequest, toolbox: Toolbox | None, index: int
    ) -> None:
        try:
            async with aclosing(await service.chat(request, toolbox)) as chat:
                self.starts.put_nowait(chat.start)
                async for event in chat:
                    self.events.put_nowait((index, event))
            self.events.put_nowait(None)
        except Exception as error:
            self.starts.put_nowait(error)
            self.events.put_nowait(error)

    async def merged(self, number: int) -> IndexedEvents:
        """The events of all ``number`` of them, as they come."""
        while number:
            item = await self.events.get()
            if item is None:
                number -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield item


@asynccontextmanager
async def _beside_each_other(
    service: ChatService, requests: Sequence[ChatRequest], toolbox: Toolbox | None
) -> AsyncGenerator[_Runs, None]:
    runs = _Runs()
    tasks = [
        asyncio.create_task(runs.run(service, request, toolbox, index))
        for index, request in enumerate(requests)
    ]
    try:
        yield runs
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _numbered(chat: Chat[RoomEvent]) -> IndexedEvents:
    async for event in chat:
        yield 0, event


async def collect(chat: Chat[Indexed], n: int) -> list[Answer]:
    """Read all ``n`` choices to their ends, in their order. Closes the chat."""
    events: list[list[RoomEvent]] = [[] for _ in range(n)]
    async with aclosing(chat):
        async for index, event in chat:
            events[index].append(event)
    return [_answer(chat, one) for one in events]


def _answer(chat: Chat[Indexed], events: Sequence[RoomEvent]) -> Answer:
    pieces = [event for event in events if isinstance(event, Delta)]
    calls = tuple(call for event in events if isinstance(event, Calls) for call in event.calls)
    finish = next((event for event in events if isinstance(event, Finish)), None)
    if finish is None:
        raise cut_off(chat)
    text = "".join(piece.text for piece in pieces)
    logprobs = tuple(one for piece in pieces for one in piece.logprobs)
    return Answer(chat.start, text, finish, calls, logprobs)


def repeated(request: ChatRequest, n: int) -> list[ChatRequest]:
    """`n` times the same; with a seed, the ``i``th has ``seed + i``, or all would say the same."""
    if request.seed is None:
        return [request] * n
    return [replace(request, seed=request.seed + index) for index in range(n)]
