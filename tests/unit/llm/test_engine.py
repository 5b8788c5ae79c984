"""What a chat promises to whoever reads it, whichever engine it is of."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from autobot.errors import Unavailable
from deployments.llm.engine import Chat, ChatEvent, Delta, Finish, Start

START = Start("m", "e", "CPU")
FINISH = Finish("stop", 1, 1)


class Held:
    """Notes how often it was freed, and turns lost connections into errors of ours."""

    def __init__(self) -> None:
        self.freed = 0

    @asynccontextmanager
    async def block(self) -> AsyncGenerator[None, None]:
        try:
            yield
        except ConnectionError as error:
            raise Unavailable("it broke off") from error
        finally:
            self.freed += 1


async def begin(held: Held, events: AsyncGenerator[ChatEvent, None]) -> Chat[ChatEvent]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(held.block())
        return Chat(START, events, stack.pop_all())


async def words(error: BaseException | None = None) -> AsyncGenerator[ChatEvent, None]:
    yield Delta("one")
    if error:
        raise error
    yield FINISH


async def test_its_end_frees_what_it_holds_once() -> None:
    held = Held()
    chat = await begin(held, words())
    assert held.freed == 0
    assert [event async for event in chat] == [Delta("one"), FINISH]
    assert held.freed == 1
    await chat.aclose()
    assert held.freed == 1


async def test_an_error_on_the_way_passes_what_it_holds_which_translates_it() -> None:
    held = Held()
    chat = await begin(held, words(ConnectionError("reset")))
    assert await anext(chat) == Delta("one")
    with pytest.raises(Unavailable, match="broke off"):
        await anext(chat)
    assert held.freed == 1
    with pytest.raises(StopAsyncIteration):
        await anext(chat)


async def test_closed_early_it_frees_what_it_holds_and_ends() -> None:
    held = Held()
    chat = await begin(held, words())
    await anext(chat)
    await chat.aclose()
    assert held.freed == 1
    assert [event async for event in chat] == []


async def test_a_reader_cancelled_at_its_wait_frees_it() -> None:
    async def never() -> AsyncGenerator[ChatEvent, None]:
        await asyncio.Event().wait()
        yield FINISH

    held = Held()
    chat = await begin(held, never())
    reader = asyncio.create_task(chat.__anext__())
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert held.freed == 1
