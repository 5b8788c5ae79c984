"""Several answers at once, as one stream of (which, event)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from deployments.llm.chat.service import ChatService
from deployments.llm.chat.tool_chat import RoomEvent
from deployments.llm.chat.tools import Toolbox
from deployments.llm.engine import ChatRequest, Start

Indexed = AsyncGenerator[tuple[int, RoomEvent], None]


async def choices(
    service: ChatService, requests: Sequence[ChatRequest], toolbox: Toolbox | None = None
) -> Indexed:
    """Run all `requests`, each in a slot of its own. The first event is the first `Start`, and the
    only one. Closing the stream stops them all, and so does the first error.
    """
    if len(requests) == 1:
        async with aclosing(service.chat(requests[0], toolbox)) as events:
            async for event in events:
                yield 0, event
        return
    found: asyncio.Queue[tuple[int, RoomEvent] | BaseException | None] = asyncio.Queue()
    tasks = [
        asyncio.create_task(_run(service, request, toolbox, index, found))
        for index, request in enumerate(requests)
    ]
    started, ended = False, 0
    try:
        while ended < len(requests):
            item = await found.get()
            if item is None:
                ended += 1
            elif isinstance(item, BaseException):
                raise item
            elif not isinstance(item[1], Start):
                yield item
            elif not started:
                started = True
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(
    service: ChatService,
    request: ChatRequest,
    toolbox: Toolbox | None,
    index: int,
    found: "asyncio.Queue[tuple[int, RoomEvent] | BaseException | None]",
) -> None:
    try:
        async with aclosing(service.chat(request, toolbox)) as events:
            async for event in events:
                found.put_nowait((index, event))
        found.put_nowait(None)
    except Exception as error:
        found.put_nowait(error)


def repeated(request: ChatRequest, n: int) -> list[ChatRequest]:
    """`n` times the same; with a seed, the ``i``th has ``seed + i``, or all would say the same."""
    if request.seed is None:
        return [request] * n
    return [replace(request, seed=request.seed + index) for index in range(n)]
