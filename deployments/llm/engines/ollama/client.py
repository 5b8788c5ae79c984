"""How an Ollama server is spoken to: exact requests, and its refusals as our errors."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import ollama

from autobot.errors import (
    AutoBotError,
    BadRequest,
    ContextLengthExceeded,
    ModelNotFound,
    Unavailable,
)
from deployments.llm.engine import ChatMessage, ChatRequest, Schema

Part = TypeVar("Part", ollama.ChatResponse, ollama.GenerateResponse)


class Client(ollama.AsyncClient):
    """The official client, and the fields of the server's API it has no argument for."""

    async def exactly(
        self, kind: type[Part], path: str, body: dict[str, Any]
    ) -> AsyncGenerator[Part, None]:
        """Generate without the server's truncating of prompts and shifting of full contexts."""
        body = body | {"stream": True, "truncate": False, "shift": False}
        untyped: Any = self
        return await untyped._request(kind, "POST", path, json=body, stream=True)

    async def version(self) -> tuple[int, ...]:
        """The server's release as numbers: ``0.12.6-rc1`` is (0, 12, 6)."""
        untyped: Any = self
        answer = await untyped._request_raw("GET", "/api/version")
        release: str = answer.json()["version"]
        numbers = release.partition("-")[0].split(".")
        return tuple(int(number) for number in numbers if number.isdigit())


def body_of(request: ChatRequest, context: int, form: Schema | None) -> dict[str, Any]:
    """``form`` is the request's schema as the server may be given it: `relaxed`."""
    options: dict[str, Any] = {
        "num_ctx": context,
        "num_predict": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "min_p": request.min_p,
        "repeat_penalty": request.repeat_penalty,
        "repeat_last_n": request.repeat_last_n,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": None if request.seed is None else request.seed % 2**31,
        "stop": list(request.stop) or None,
    }
    body: dict[str, Any] = {
        "model": request.model,
        "options": {key: value for key, value in options.items() if value is not None},
    }
    if request.prompt is None:
        body["messages"] = [_message(message) for message in request.messages]
    else:
        body |= {"prompt": request.prompt, "raw": True}
    if form is not None:
        body["format"] = form or "json"
    if request.keep_alive_s is not None:
        body["keep_alive"] = request.keep_alive_s
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        body["images"] = [b64encode(image).decode() for image in message.images]
    return body


@asynccontextmanager
async def translated(request: ChatRequest | None, context: int) -> AsyncGenerator[None, None]:
    """Raise the server's refusals and lost connections as errors of ours.

    ``request`` and its ``context`` in tokens are for the message alone; None where nobody chats.
    """
    try:
        yield
    except ollama.ResponseError as error:
        raise _refusal(error, request, context) from error
    except (ConnectionError, httpx.TransportError) as error:
        raise Unavailable(f"Ollama stopped answering: {error}") from error


def too_long(error: ollama.ResponseError) -> bool:
    """Whether a text was refused for its length. The server says so in its message only."""
    return "context length" in str(error.error)


def _refusal(
    error: ollama.ResponseError, request: ChatRequest | None, context: int
) -> AutoBotError:
    reason = str(error.error)
    if too_long(error) and request is None:
        return ContextLengthExceeded(
            f"A text does not fit the model's context. Ollama says: {reason}."
        )
    if request and too_long(error):
        size = len(request.prompt or "") + sum(len(one.content) for one in request.messages)
        return ContextLengthExceeded(
            f"The prompt of {size} characters does not fit the context of '{request.model}', "
            f"which is {context} tokens. Ollama says: {reason}."
        )
    if error.status_code == 404:
        return ModelNotFound(reason)
    if 400 <= error.status_code < 500:
        return BadRequest(reason)
    return Unavailable(f"Ollama: {reason}")
