"""Answers that were promised in a form: decoded, validated, asked for again, at last refused.

An engine whose grammar holds the whole schema streams. From any other an answer is held back until
it is known to be valid; words that were sent cannot be taken back.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from autobot.errors import ContextLengthExceeded, NotKept, Unavailable
from autobot.schemas.json_schema import Checked, checked
from deployments.llm.engine import (
    Chat,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
)

Ask = Callable[[ChatRequest], Awaitable[Chat[ChatEvent]]]
"""Begins a chat, as `ChatEngine.chat` does."""
Fault = Callable[[str], str]
"""Says what is wrong with a whole answer, or nothing."""

TRIES = 3
MOST_REPEATED = 4000
"""Characters of a wrong answer that the model is shown again."""
REFUSED = "The model did not answer as the schema asks: {fault}"
AGAIN = "That answer is not valid: {fault}\nAnswer again, with nothing but valid JSON."


async def promised(ask: Ask, request: ChatRequest) -> Chat[ChatEvent]:
    """A chat under a schema. Reading it raises `NotKept` instead of an answer that breaks it."""
    check = checked(request.schema or {}, "the schema")
    return await insisted(ask, request, lambda text: json_fault(text, check))


async def insisted(
    ask: Ask, request: ChatRequest, fault_of: Fault, *, streams: bool = True
) -> Chat[ChatEvent]:
    """Ask until there is no fault, telling the model the last one; at most `TRIES` times.

    An answer that ``max_tokens`` cut is passed on as it is: its reason says so. Where ``streams``,
    what an engine's grammar holds is passed on as it comes.
    """
    first = await ask(request)
    if streams and first.start.bound:
        events = _checked_at_its_end(first, fault_of)
    else:
        events = _tried(first, ask, request, fault_of)
    return Chat(first.start, events, aclosing(first))


async def _checked_at_its_end(
    chat: Chat[ChatEvent], fault_of: Fault
) -> AsyncGenerator[ChatEvent, None]:
    text = ""
    async for event in chat:
        if isinstance(event, Delta):
            text += event.text
        elif fault := _fault_of(text, event, fault_of):
            raise NotKept(REFUSED.format(fault=fault))
        yield event


async def _tried(
    first: Chat[ChatEvent], ask: Ask, request: ChatRequest, fault_of: Fault
) -> AsyncGenerator[ChatEvent, None]:
    chat, spent, attempt = first, 0, 1
    while True:
        deltas, finish = await whole(chat)
        text = "".join(delta.text for delta in deltas)
        spent += finish.completion_tokens
        fault = _fault_of(text, finish, fault_of)
        if not fault:
            for delta in deltas:
                yield delta
            yield replace(finish, completion_tokens=spent)
            return
        if attempt == TRIES:
            break
        try:
            chat = await ask(_corrected(request, text, fault, attempt))
        except ContextLengthExceeded:
            break  # the first answer and what is wrong with it did not fit
        attempt += 1
    raise NotKept(REFUSED.format(fault=fault))


async def whole(chat: Chat[ChatEvent]) -> tuple[list[Delta], Finish]:
    """Read a chat to its end. Raises `Unavailable` when it ends without a `Finish`."""
    deltas: list[Delta] = []
    finish: Finish | None = None
    async with aclosing(chat):
        async for event in chat:
            if isinstance(event, Delta):
                deltas.append(event)
            else:
                finish = event
    if finish is None:
        raise cut_off(chat)
    return deltas, finish


def cut_off(chat: Chat[object]) -> Unavailable:
    """The error of a chat that ended without its `Finish`."""
    return Unavailable(f"{chat.start.engine} ended the answer before it was complete.")


def _fault_of(text: str, finish: Finish, fault_of: Fault) -> str:
    return fault_of(text) if finish.reason == "stop" else ""


def _corrected(request: ChatRequest, text: str, fault: str, attempt: int) -> ChatRequest:
    """The same once more, after the wrong answer and what is wrong with it."""
    if request.prompt is not None:  # a raw text is continued: nobody can be told anything in it
        return request if request.seed is None else replace(request, seed=request.seed + attempt)
    answer = ChatMessage("assistant", text[:MOST_REPEATED])
    correction = ChatMessage("user", AGAIN.format(fault=fault))
    return replace(request, messages=(*request.messages, answer, correction))


def json_fault(text: str, check: Checked) -> str:
    """What is wrong with an answer that has to be JSON and valid."""
    try:
        value = json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {str(error)[:200]}"
    return check.fault(value)


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
