"""An answer under a schema is valid, is asked for again, or is an error: never a broken promise."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autobot.errors import ContextLengthExceeded, NotKept
from deployments.llm.chat.service import ChatService
from deployments.llm.chat.structured import TRIES
from deployments.llm.chat.tool_chat import RoomEvent
from deployments.llm.chat.tools import Calls, Tool, Toolbox
from deployments.llm.engine import (
    Chat,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
)
from deployments.llm.fake import FINGERPRINT, FakeEngine

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer", "maximum": 9}},
    "required": ["age"],
}
RIGHT, WRONG = '{"age": 5}', '{"age": 50}'


class Bound(FakeEngine):
    """Says that its grammar holds every schema."""

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        chat = await super().chat(request)
        chat.start = replace(chat.start, bound=True)
        return chat


class Narrow(FakeEngine):
    """Has room for one answer, and not for what was wrong with it."""

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        if len(request.messages) > 1:
            raise ContextLengthExceeded
        return await super().chat(request)


async def events(
    engine: FakeEngine, toolbox: Toolbox | None = None, **values: Any
) -> list[RoomEvent]:
    service = ChatService([engine], lambda: "fake")
    asked = ChatRequest("fake", (ChatMessage("user", "How old?"),), schema=SCHEMA)
    request = replace(asked, **values)
    return [event async for event in await service.chat(request, toolbox)]


def said(found: Sequence[RoomEvent]) -> str:
    return "".join(event.text for event in found if isinstance(event, Delta))


async def test_a_wrong_answer_is_asked_for_again_with_the_violation_told() -> None:
    engine = FakeEngine(script=[WRONG, RIGHT], context=500)
    found = await events(engine)
    assert said(found) == RIGHT
    *_, wrong, told = engine.requests[1].messages
    assert (wrong.role, wrong.content) == ("assistant", WRONG)
    assert "age: 50 is greater than the maximum of 9" in told.content


async def test_all_tries_are_in_the_usage() -> None:
    found = await events(FakeEngine(script=[WRONG, RIGHT], context=500))
    assert isinstance(found[-1], Finish)
    assert found[-1].completion_tokens == 4


@pytest.mark.parametrize("wrong", [WRONG, "no JSON at all", '{"age": NaN}', ""])
async def test_what_stays_wrong_is_refused_with_what_was_violated(wrong: str) -> None:
    engine = FakeEngine(script=[wrong] * TRIES, context=500)
    with pytest.raises(NotKept, match=r"age: 50|not JSON"):
        await events(engine)
    assert len(engine.requests) == TRIES


async def test_nothing_is_said_before_it_is_known_to_be_valid() -> None:
    service = ChatService([FakeEngine(script=[WRONG] * TRIES, context=500)], lambda: "fake")
    request = ChatRequest("fake", (ChatMessage("user", "?"),), schema=SCHEMA)
    seen: list[Any] = []

    async def read() -> None:
        async for event in await service.chat(request):
            seen.append(event)

    with pytest.raises(NotKept):
        await read()
    assert seen == []


async def test_what_a_whole_grammar_holds_is_streamed() -> None:
    found = await events(Bound(script=['{"age": 5 }']))
    assert len([event for event in found if isinstance(event, Delta)]) > 1


async def test_even_a_whole_grammar_is_not_believed_at_the_end() -> None:
    engine = Bound(script=[WRONG])
    with pytest.raises(NotKept):
        await events(engine)
    assert len(engine.requests) == 1, "words that were sent cannot be taken back"


async def test_an_answer_cut_by_max_tokens_says_so_and_is_no_fault() -> None:
    found = await events(FakeEngine(script=['{"age": 5 }']), max_tokens=1)
    assert found[-1] == Finish("length", 2, 1, fingerprint=FINGERPRINT)


async def test_a_second_try_that_does_not_fit_ends_in_the_first_ones_fault() -> None:
    with pytest.raises(NotKept, match="age: 50"):
        await events(Narrow(script=[WRONG]))


def box(**values: Any) -> Toolbox:
    return Toolbox([Tool("birthday", "", SCHEMA)], **values)


def call(age: int) -> str:
    return json.dumps({"name": "birthday", "arguments": {"age": age}})


async def test_a_forced_call_that_breaks_its_schema_is_asked_for_again() -> None:
    engine = FakeEngine(script=[call(50), call(5)], context=500)
    found = await events(engine, box(forced=True), schema=None)
    assert [event.calls[0].arguments for event in found if isinstance(event, Calls)] == [{"age": 5}]
    assert "the arguments of birthday: age: 50" in engine.requests[1].messages[-1].content


@pytest.mark.parametrize("text", [call(50), "words", '{"name": "other", "arguments": {}}', "[]"])
async def test_a_forced_call_never_becomes_text(text: str) -> None:
    with pytest.raises(NotKept, match=r"age: 50|call"):
        await events(FakeEngine(script=[text] * TRIES, context=500), box(forced=True), schema=None)


async def test_beside_tools_an_answer_keeps_its_schema_too() -> None:
    answer = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]}
    good = await events(
        FakeEngine(script=['{"ok": 1}', '{"ok": true}'], context=500), box(), schema=answer
    )
    assert said(good) == '{"ok": true}'
    with pytest.raises(NotKept):
        await events(FakeEngine(script=['{"ok": 1}'] * TRIES, context=500), box(), schema=answer)
