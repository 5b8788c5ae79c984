"""Engine events as OpenAI's JSON. A chunk is a string made from its head: one per token counts."""

import json
import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any

from autobot.errors import AutoBotError
from autobot.web.problems import openai_error
from deployments.llm import schemas
from deployments.llm.engine import ChatStream, Delta, Finish, ModelCard, Start
from deployments.llm.service import Answer

DONE = b"data: [DONE]\n\n"


def headers(start: Start) -> dict[str, str]:
    """Where the answer was made. Header values are Latin-1: a model's name may be anything."""
    values = {"engine": start.engine, "model": start.model, "device": start.device}
    return {
        f"x-autobot-{name}": value.encode("ascii", "backslashreplace").decode()
        for name, value in values.items()
    }


def model(card: ModelCard, default: str | None) -> schemas.Model:
    return schemas.Model(
        id=card.name,
        created=card.created,
        owned_by="autobot",
        engine=card.engine,
        context=card.context,
        loaded=card.loaded,
        default=card.name == default,
    )


def usage(finish: Finish) -> schemas.ChatUsage:
    return schemas.ChatUsage(
        prompt_tokens=finish.prompt_tokens,
        completion_tokens=finish.completion_tokens,
        total_tokens=finish.prompt_tokens + finish.completion_tokens,
        prompt_tokens_details=schemas.PromptDetails(cached_tokens=finish.cached_tokens),
    )


def completion(answer: Answer) -> schemas.ChatCompletion:
    choice = schemas.Choice(
        message=schemas.AssistantMessage(content=answer.text),
        finish_reason=answer.finish.reason,
    )
    return schemas.ChatCompletion(
        id=_new_id(),
        created=int(time.time()),
        model=answer.start.model,
        choices=[choice],
        usage=usage(answer.finish),
    )


async def chunks(start: Start, rest: ChatStream, wants_usage: bool) -> AsyncGenerator[bytes, None]:
    """Server-sent events of one chat whose `Start` was already taken from ``rest``.

    An error after the first byte can no longer change the status: it is sent as an event, and the
    stream then ends without `[DONE]`, so no client takes half an answer for a whole one.
    """
    base: dict[str, Any] = {
        "id": _new_id(),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": start.model,
    }
    tail = ', "usage": null}\n\n' if wants_usage else "}\n\n"
    head = f'data: {json.dumps(base)[:-1]}, "choices": [{{"index": 0, "logprobs": null, '

    def chunk(delta: str, reason: str = "null") -> bytes:
        return f'{head}"delta": {delta}, "finish_reason": {reason}}}]{tail}'.encode()

    yield chunk('{"role": "assistant", "content": ""}')
    try:
        async for event in rest:
            if isinstance(event, Delta):
                yield chunk(f'{{"content": {json.dumps(event.text)}}}')
            elif isinstance(event, Finish):
                yield chunk("{}", f'"{event.reason}"')
                if wants_usage:
                    whole: dict[str, Any] = base | {
                        "choices": [],
                        "usage": usage(event).model_dump(),
                    }
                    yield f"data: {json.dumps(whole)}\n\n".encode()
                yield DONE
    except AutoBotError as error:
        told = openai_error(error.status, error.type, error.detail)
        yield f"data: {json.dumps(told)}\n\n".encode()


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
