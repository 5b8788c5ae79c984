"""Answers that were promised in a form: decoded, validated, asked for again, at last refused.

An engine whose grammar holds the whole schema streams. From any other an answer is held back until
it is known to be valid; words that were sent cannot be taken back.
"""

import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from autobot.errors import ContextLengthExceeded, NotKept
from autobot.schemas.json_schema import Checked, checked
from deployments.llm.engine import ChatMessage, ChatRequest, ChatStream, Delta, Finish, Start

Chat = Callable[[ChatRequest], ChatStream]
Fault = Callable[[str], str]
"""Says what is wrong with a whole answer, or nothing."""

TRIES = 3
MOST_REPEATED = 4000
"""Characters of a wrong answer that the model is shown again."""
AGAIN = "That answer is not valid: {fault}\nAnswer again, with nothing but valid JSON."


async def promised(chat: Chat, request: ChatRequest) -> ChatStream:
    """The events of a chat under a schema. Raises `NotKept` instead of an answer that breaks it."""
    assert request.schema is not None
    check = checked(request.schema, "the schema")
    async with aclosing(insisted(chat, request, lambda text: json_fault(text, check))) as events:
        async for event in events:
            yield event


async def insisted(
    chat: Chat, request: ChatRequest, fault_of: Fault, *, streams: bool = True
) -> ChatStream:
    """Ask until there is no fault, telling the model the last one; at most `TRIES` times.

    An answer that ``max_tokens`` cut is passed on as it is: its reason says so. Where ``streams``,
    what an engine's grammar holds is passed on as it comes.
    """
    asked, spent, fault = request, 0, ""
    for attempt in range(TRIES):
        held: list[Delta] = []
        text, passing, finish = "", False, None
        try:
            async with aclosing(chat(asked)) as events:
                async for event in events:
                    if isinstance(event, Start):
                        passing = streams and event.bound
                        if attempt == 0:
                            yield event
                    elif isinstance(event, Finish):
                        finish = event
                    else:
                        text += event.text
                        if passing:
                            yield event
                        else:
                            held.append(event)
        except ContextLengthExceeded:
            if attempt == 0:
                raise
            break  # the first answer and what is wrong with it did not fit
        assert finish  # the contract of every engine
        spent += finish.completion_tokens
        fault = fault_of(text) if finish.reason == "stop" else ""
        if not fault:
            for delta in held:
                yield delta
            yield replace(finish, completion_tokens=spent)
            return
        if passing:
            break
        asked = _told(request, text, fault, attempt + 1)
    raise NotKept(f"The model did not answer as the schema asks: {fault}")


def _told(request: ChatRequest, text: str, fault: str, attempt: int) -> ChatRequest:
    """The same once more, after the wrong answer and what is wrong with it."""
    if request.prompt is not None:  # a raw text is continued: nobody can be told anything in it
        return request if request.seed is None else replace(request, seed=request.seed + attempt)
    said = ChatMessage("assistant", text[:MOST_REPEATED])
    told = ChatMessage("user", AGAIN.format(fault=fault))
    return replace(request, messages=(*request.messages, said, told))


def json_fault(text: str, check: Checked) -> str:
    """What is wrong with an answer that has to be JSON and valid."""
    try:
        value = json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {str(error)[:200]}"
    return check.fault(value)


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
