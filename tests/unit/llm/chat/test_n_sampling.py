"""Choices beside each other, and every other form of a chat: none keeps a slot it does not use."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from autobot.errors import Busy, ModelNotFound
from deployments.llm.chat.n_sampling import choices, collect, repeated
from deployments.llm.chat.service import ChatService
from deployments.llm.chat.tools import Tool, Toolbox
from deployments.llm.engine import Chat, ChatMessage, ChatRequest, Delta, Finish
from deployments.llm.fake import FakeEngine
from tests.contract.llm.conftest import until

ASK = ChatRequest("fake", (ChatMessage("user", "hello"),))
SCHEMA: dict[str, Any] = {"type": "object"}
TOOL = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})

Begin = Callable[[ChatService], Awaitable[Chat[Any]]]
FORMS: dict[str, Begin] = {
    "plain": lambda service: service.chat(ASK),
    "schema": lambda service: service.chat(ChatRequest("fake", ASK.messages, schema=SCHEMA)),
    "tools": lambda service: service.chat(ASK, Toolbox([TOOL])),
    "a forced tool": lambda service: service.chat(ASK, Toolbox([TOOL], forced=True)),
    "one choice": lambda service: choices(service, [ASK]),
    "three choices": lambda service: choices(service, repeated(ASK, 3)),
}


def slow(**values: Any) -> FakeEngine:
    return FakeEngine(["fake"], context=10_000, token_s=0.01, **values)


@pytest.fixture(params=FORMS)
def begin(request: pytest.FixtureRequest) -> Begin:
    return FORMS[request.param]


async def free(engine: FakeEngine) -> None:
    await until(lambda: (engine.limiter.running, engine.limiter.queued) == (0, 0), 2)


async def test_closing_it_unread_frees_every_slot_at_once(begin: Begin) -> None:
    engine = slow()
    chat = await begin(ChatService([engine], lambda: "fake"))
    assert engine.limiter.running
    await chat.aclose()
    assert (engine.limiter.running, engine.limiter.queued) == (0, 0)


async def test_closing_it_after_the_first_word_frees_every_slot_at_once(begin: Begin) -> None:
    engine = slow()
    chat = await begin(ChatService([engine], lambda: "fake"))
    await anext(chat)
    await chat.aclose()
    assert (engine.limiter.running, engine.limiter.queued) == (0, 0)


async def test_dropping_it_frees_every_slot_a_moment_later(begin: Begin) -> None:
    engine = slow()
    chat = await begin(ChatService([engine], lambda: "fake"))
    assert engine.limiter.running
    del chat
    await free(engine)


async def test_cancelling_who_waits_for_it_frees_the_queue(begin: Begin) -> None:
    engine = slow(slots=1)
    service = ChatService([engine], lambda: "fake")
    running = await service.chat(ASK)
    task = asyncio.ensure_future(begin(service))
    await until(lambda: engine.limiter.queued > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (engine.limiter.running, engine.limiter.queued) == (1, 0)
    await running.aclose()


async def test_cancelling_who_reads_it_frees_every_slot(begin: Begin) -> None:
    engine = slow()
    chat = await begin(ChatService([engine], lambda: "fake"))

    async def read() -> None:
        async for _ in chat:
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await free(engine)


async def test_an_error_before_any_answer_is_raised_by_the_await() -> None:
    service = ChatService([FakeEngine(["fake"], slots=1, waiting=0)], lambda: "fake")
    with pytest.raises(ModelNotFound):
        await choices(service, repeated(ChatRequest("none", ()), 3))


async def test_an_error_of_one_choice_ends_the_others_and_frees_their_slots() -> None:
    engine = slow(slots=1, waiting=1)
    service = ChatService([engine], lambda: "fake")
    chat = await choices(service, repeated(ASK, 3))
    with pytest.raises(Busy):
        await collect(chat, 3)
    assert (engine.limiter.running, engine.limiter.queued) == (0, 0)


async def test_choices_come_beside_each_other_each_with_its_own_end() -> None:
    engine = FakeEngine(["fake"], slots=2, script=["a b c", "d e f"])
    chat = await choices(ChatService([engine], lambda: "fake"), repeated(ASK, 2))
    assert chat.start.engine == "fake"
    events = [event async for event in chat]
    texts = ["", ""]
    for index, event in events:
        texts[index] += event.text if isinstance(event, Delta) else ""
    assert texts == ["a b c", "d e f"]
    assert sorted(index for index, event in events if isinstance(event, Finish)) == [0, 1]
    assert [index for index, _ in events] != sorted(index for index, _ in events)
