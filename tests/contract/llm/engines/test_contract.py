"""What every chat engine must do. One suite for the fake and the real ones: the fake cannot lie."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from autobot.errors import BadRequest, ContextLengthExceeded, ModelNotFound
from deployments.llm.engine import (
    ANY_OBJECT,
    Chat,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    Start,
)
from tests.contract.llm.conftest import CONTEXT, Subject, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

STORY = "Tell me a long story about the sea, with every detail you can think of."


@dataclass(frozen=True)
class Seen:
    start: Start
    pieces: Sequence[str]
    finish: Finish

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def ask(subject: Subject, text: str = STORY, **values: object) -> ChatRequest:
    return ChatRequest(subject.model, (ChatMessage("user", text),), **values)  # pyright: ignore


async def run(subject: Subject, request: ChatRequest) -> Seen:
    chat = await subject.engine.chat(request)
    *pieces, last = [event async for event in chat]
    assert isinstance(last, Finish)
    return Seen(chat.start, [one.text for one in pieces if isinstance(one, Delta)], last)


async def test_lists_the_model_under_the_engines_name(subject: Subject) -> None:
    cards = {card.name: card for card in await subject.engine.models()}
    assert cards[subject.model].engine == subject.engine.name


async def test_answer_says_where_it_runs_then_its_text_then_one_finish(subject: Subject) -> None:
    seen = await run(subject, ask(subject, max_tokens=12))
    assert seen.start.engine == subject.answers
    assert seen.start.fallback == subject.fallback
    if not subject.fallback:
        assert seen.start.model == subject.model
    assert seen.start.device == "CPU"
    assert len(seen.pieces) > 1, "it streams: more than one piece of text"
    assert seen.text.strip()


async def test_max_tokens_ends_the_answer_at_exactly_that_length(subject: Subject) -> None:
    seen = await run(subject, ask(subject, max_tokens=7))
    assert seen.finish.reason == "length"
    assert seen.finish.completion_tokens == 7


async def test_prompt_tokens_grow_with_the_prompt_and_are_not_hidden_by_a_cache(
    subject: Subject,
) -> None:
    short = await run(subject, ask(subject, "one two three", max_tokens=2))
    long = await run(subject, ask(subject, "one two three " * 10, max_tokens=2))
    again = await run(subject, ask(subject, "one two three " * 10, max_tokens=2))
    assert short.finish.prompt_tokens >= 3
    assert long.finish.prompt_tokens >= short.finish.prompt_tokens + 27
    assert again.finish.prompt_tokens == long.finish.prompt_tokens


async def test_stop_sequence_ends_the_answer_and_is_not_part_of_it(subject: Subject) -> None:
    whole = (await run(subject, ask(subject, max_tokens=24, temperature=0))).text
    stop = whole.split()[8]
    seen = await run(subject, ask(subject, max_tokens=24, temperature=0, stop=(stop,)))
    assert seen.finish.reason == "stop"
    assert stop not in seen.text
    assert seen.text
    assert whole.startswith(seen.text.rstrip())


async def test_one_seed_gives_one_answer_and_another_seed_another(subject: Subject) -> None:
    def seeded(seed: int) -> ChatRequest:
        return ask(subject, max_tokens=16, temperature=1.0, seed=seed)

    first, again, other = [(await run(subject, seeded(seed))).text for seed in (11, 11, 12)]
    assert first == again
    assert first != other


async def test_unknown_model_is_refused(subject: Subject) -> None:
    with pytest.raises(ModelNotFound, match="no-such-model"):
        await subject.engine.chat(ChatRequest("no-such-model", ()))


async def test_prompt_longer_than_the_context_is_refused_with_the_context_named(
    subject: Subject,
) -> None:
    with pytest.raises(ContextLengthExceeded, match=str(CONTEXT)):
        await run(subject, ask(subject, "word " * 2000, max_tokens=4))


async def test_answer_that_fills_the_context_ends_there_with_reason_length(
    subject: Subject,
) -> None:
    prompt = "The sea is wide. " * 85 + STORY
    seen = await run(subject, ask(subject, prompt, temperature=0, seed=1))
    assert seen.finish.reason == "length"
    used = seen.finish.prompt_tokens + seen.finish.completion_tokens
    assert CONTEXT - 1 <= used <= CONTEXT + 1, "the last token said needs no place in the context"


async def test_caller_past_the_queue_is_refused_at_once_and_the_waiting_one_is_served(
    subject: Subject,
) -> None:
    running = await subject.engine.chat(ask(subject))
    waiting = asyncio.create_task(run(subject, ask(subject, max_tokens=3)))
    await until(lambda: subject.limiter.queued == 1)
    with pytest.raises(subject.full):
        await subject.engine.chat(ask(subject))
    assert not waiting.done()
    await running.aclose()
    served = await asyncio.wait_for(waiting, 20)
    assert served.finish.completion_tokens == 3


async def test_closing_a_stream_early_lets_the_next_one_in(subject: Subject) -> None:
    for _ in range(10):
        chat = await subject.engine.chat(ask(subject))
        await anext(chat)
        await chat.aclose()
        assert subject.limiter.running == 0
        async with asyncio.timeout(10):
            next_one = await subject.engine.chat(ask(subject, max_tokens=1))
        await next_one.aclose()
    assert subject.limiter.running == 0


async def test_chat_closed_unread_frees_its_slot_and_may_be_closed_again(subject: Subject) -> None:
    chat = await subject.engine.chat(ask(subject))
    assert subject.limiter.running == 1
    for _ in range(2):
        await chat.aclose()
        assert subject.limiter.running == 0
    assert [event async for event in chat] == []


async def test_chat_read_to_its_end_has_freed_its_slot_without_being_closed(
    subject: Subject,
) -> None:
    chat = await subject.engine.chat(ask(subject, max_tokens=2))
    events = [event async for event in chat]
    assert isinstance(events[-1], Finish)
    assert subject.limiter.running == 0


@pytest.mark.parametrize("read", [0, 1])
async def test_chat_that_nobody_holds_any_more_frees_its_slot(subject: Subject, read: int) -> None:
    task = asyncio.create_task(_begun(subject, read))
    await asyncio.wait({task})
    assert subject.limiter.running == 1
    del task  # as when its caller was cancelled at the moment the chat began
    await until(lambda: subject.limiter.running == 0)
    assert (await run(subject, ask(subject, max_tokens=2))).finish.completion_tokens == 2


async def _begun(subject: Subject, read: int) -> Chat[ChatEvent]:
    chat = await subject.engine.chat(ask(subject))
    for _ in range(read):
        await anext(chat)
    return chat


async def test_caller_cancelled_while_it_waits_for_a_slot_leaves_the_queue(
    subject: Subject,
) -> None:
    running = await subject.engine.chat(ask(subject))
    waiting = asyncio.create_task(subject.engine.chat(ask(subject)))
    await until(lambda: subject.limiter.queued == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (subject.limiter.running, subject.limiter.queued) == (1, 0)
    await running.aclose()
    assert subject.limiter.running == 0


async def test_caller_cancelled_at_any_moment_before_the_answer_frees_its_slot(
    subject: Subject,
) -> None:
    for steps in range(12):
        task = asyncio.create_task(subject.engine.chat(ask(subject)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task  # it may have begun before it was cancelled
        await until(lambda: (subject.limiter.running, subject.limiter.queued) == (0, 0))
    assert (await run(subject, ask(subject, max_tokens=2))).finish.completion_tokens == 2


async def test_error_before_the_answer_is_raised_by_the_await_and_holds_no_slot(
    subject: Subject,
) -> None:
    with pytest.raises(ContextLengthExceeded):
        await subject.engine.chat(ask(subject, "word " * 2000))
    assert (subject.limiter.running, subject.limiter.queued) == (0, 0)


async def test_cancelled_caller_frees_its_slot(subject: Subject) -> None:
    task = asyncio.create_task(run(subject, ask(subject)))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert subject.limiter.running == 0
    seen = await asyncio.wait_for(run(subject, ask(subject, max_tokens=2)), 20)
    assert seen.finish.completion_tokens == 2


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"enum": ["yes", "no"]}, "sure": {"type": "boolean"}},
    "required": ["answer", "sure"],
    "additionalProperties": False,
}


async def test_answer_under_a_schema_is_valid_against_it(subject: Subject) -> None:
    for question in ("Is the sea wet?", "Tell me a story."):
        seen = await run(subject, ask(subject, question, schema=SCHEMA, max_tokens=60))
        assert seen.finish.reason == "stop"
        jsonschema.validate(json.loads(seen.text), SCHEMA)


async def test_any_object_is_a_schema_too(subject: Subject) -> None:
    request = ask(subject, "Describe the sea as JSON.", schema=ANY_OBJECT, max_tokens=80)
    seen = await run(subject, request)
    assert seen.text.lstrip().startswith("{")
    if seen.finish.reason == "stop":
        assert isinstance(json.loads(seen.text), dict)


async def test_raw_prompt_is_continued_without_a_chat_template(subject: Subject) -> None:
    raw = ChatRequest(subject.model, (), prompt="one two three", max_tokens=4)
    chat = await run(subject, ask(subject, "one two three", max_tokens=4))
    seen = await run(subject, raw)
    assert seen.finish.completion_tokens == 4
    assert 3 <= seen.finish.prompt_tokens <= chat.finish.prompt_tokens


async def test_raw_prompt_longer_than_the_context_is_refused(subject: Subject) -> None:
    with pytest.raises(ContextLengthExceeded, match=str(CONTEXT)):
        await run(subject, ChatRequest(subject.model, (), prompt="word " * 2000, max_tokens=4))


async def test_log_probabilities_are_of_the_very_tokens_or_refused(subject: Subject) -> None:
    request = ask(subject, max_tokens=5, temperature=0, logprobs=2)
    if subject.engine.name == "ollama":
        with pytest.raises(BadRequest, match="log-probabilities"):
            await run(subject, request)
        return
    events = [event async for event in await subject.engine.chat(request)]
    tokens = [one for event in events if isinstance(event, Delta) for one in event.logprobs]
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert "".join(token.token for token in tokens) == text
    assert all(token.logprob <= 0 and len(token.top) == 2 for token in tokens)


async def test_image_is_refused_by_a_model_that_cannot_see(subject: Subject) -> None:
    message = ChatMessage("user", "What is this?", (b"\x89PNG\r\n\x1a\n",))
    with pytest.raises(BadRequest, match="cannot see"):
        await run(subject, ChatRequest(subject.model, (message,), max_tokens=2))
    assert subject.limiter.running == 0
