"""Chats from an Ollama server, when one answers."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import ollama

from autobot.errors import (
    AutoBotError,
    BadRequest,
    ContextLengthExceeded,
    ModelNotFound,
    Unavailable,
)
from deployments.llm.engine import ChatEvent, ChatRequest, Delta, Finish, ModelCard, Start
from deployments.llm.gate import Gate

PROBE_S = 0.3
"""The server is on this machine: one that takes longer is not one to wait for."""
KNOWN_FOR_S = 2.0
"""How long one look at the server serves: a chat must not cost a probe each."""
OLDEST = (0, 12, 6)
"""First release whose chats can be told not to cut a long prompt silently."""
LONGEST_CONTEXT = 8192


class Client(ollama.AsyncClient):
    """The official client, and the chat fields of the server's API it has no argument for."""

    async def exact_chat(self, body: dict[str, Any]) -> AsyncIterator[ollama.ChatResponse]:
        """Chat without the server's truncating of prompts and shifting of full contexts."""
        body = body | {"stream": True, "truncate": False, "shift": False}
        untyped: Any = self
        return await untyped._request(
            ollama.ChatResponse, "POST", "/api/chat", json=body, stream=True
        )

    async def version(self) -> tuple[int, ...]:
        untyped: Any = self
        answer = await untyped._request_raw("GET", "/api/version")
        said: str = answer.json()["version"]
        numbers = said.partition("-")[0].split(".")
        return tuple(int(number) for number in numbers if number.isdigit())


@dataclass(frozen=True, slots=True)
class Sight:
    """The server as it was `at` a monotonic time; `reason` says why it cannot be used."""

    at: float
    models: dict[str, ModelCard]
    reason: str | None = None


class OllamaEngine:
    """Runs what the server at `url` has pulled. A server that is away simply has no models."""

    name = "ollama"

    def __init__(
        self,
        url: str,
        *,
        slots: int = 4,
        waiting: int = 16,
        context: int = LONGEST_CONTEXT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._client = Client(url, timeout=httpx.Timeout(600.0, connect=2.0), transport=transport)
        self._context = context
        self._sight: Sight | None = None
        self._contexts: dict[str, int] = {}
        self.gate = Gate(slots, waiting)

    @property
    def reason(self) -> str | None:
        """Why the server cannot be used, as of the last look; None when it can."""
        return self._sight.reason if self._sight else "not asked yet"

    async def models(self) -> Sequence[ModelCard]:
        return list((await self._look()).models.values())

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        seen = await self._look()
        if request.model not in seen.models:
            away = f" ({seen.reason})" if seen.reason else ""
            raise ModelNotFound(f"Ollama has no model '{request.model}'{away}.")
        async with self.gate.enter():
            context = await self._context_of(request.model)
            async with _translated(request, context):
                async for event in self._run(request, context):
                    yield event

    async def close(self) -> None:
        await self._client.close()

    async def _run(self, request: ChatRequest, context: int) -> AsyncGenerator[ChatEvent, None]:
        device: str | None = None
        parts = await self._client.exact_chat(_body(request, context))
        async for part in parts:
            if device is None:
                device = await self._device(request.model)
                yield Start(request.model, self.name, device)
            if part.message.content:
                yield Delta(part.message.content)
            if part.done:
                yield Finish(
                    "length" if part.done_reason == "length" else "stop",
                    part.prompt_eval_count or 0,
                    part.eval_count or 0,
                )
                return
        raise Unavailable("Ollama ended the answer before it was complete.")

    async def _look(self) -> Sight:
        if self._sight is None or time.monotonic() - self._sight.at > KNOWN_FOR_S:
            self._sight = await self._probe()
        return self._sight

    async def _probe(self) -> Sight:
        try:
            async with asyncio.timeout(PROBE_S):
                version = await self._client.version()
                listed = await self._client.list()
        except (TimeoutError, ConnectionError, httpx.HTTPError, ollama.ResponseError) as error:
            why = f"{type(error).__name__}" if isinstance(error, TimeoutError) else str(error)
            return Sight(time.monotonic(), {}, f"no Ollama server at {self._url}: {why}")
        if version < OLDEST:
            found, needed = (".".join(map(str, one)) for one in (version, OLDEST))
            reason = f"Ollama {found} cuts long prompts silently; {needed} or newer is needed"
            return Sight(time.monotonic(), {}, reason)
        cards = (self._card(model) for model in listed.models if model.model)
        return Sight(time.monotonic(), {card.name: card for card in cards})

    def _card(self, model: ollama.ListResponse.Model) -> ModelCard:
        name = model.model or ""
        changed = int(model.modified_at.timestamp()) if model.modified_at else 0
        return ModelCard(name, self.name, changed, self._contexts.get(name))

    async def _context_of(self, name: str) -> int:
        """Tokens to ask for: the model's own context up to the room's limit, asked for once."""
        if name not in self._contexts:
            async with _translated(None, 0):
                info = (await self._client.show(name)).modelinfo or {}
            trained = [v for k, v in info.items() if k.endswith(".context_length")]
            self._contexts[name] = min([self._context, *map(int, trained)])
        return self._contexts[name]

    async def _device(self, name: str) -> str:
        """Where the server says the loaded model is."""
        for model in (await self._client.ps()).models:
            if model.model == name:
                on_gpu, size = model.size_vram or 0, model.size or 0
                return "CPU" if on_gpu == 0 else "GPU" if on_gpu >= size else "CPU+GPU"
        return "unknown"


def _body(request: ChatRequest, context: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "num_ctx": context,
        "num_predict": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": None if request.seed is None else request.seed % 2**31,
        "stop": list(request.stop) or None,
    }
    return {
        "model": request.model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "options": {key: value for key, value in options.items() if value is not None},
    }


@asynccontextmanager
async def _translated(request: ChatRequest | None, context: int) -> AsyncGenerator[None, None]:
    try:
        yield
    except ollama.ResponseError as error:
        raise _refusal(error, request, context) from error
    except (ConnectionError, httpx.TransportError) as error:
        raise Unavailable(f"Ollama stopped answering: {error}") from error


def _refusal(
    error: ollama.ResponseError, request: ChatRequest | None, context: int
) -> AutoBotError:
    said = str(error.error)
    if request and "context length" in said:
        size = sum(len(message.content) for message in request.messages)
        return ContextLengthExceeded(
            f"The prompt of {size} characters does not fit the context of '{request.model}', "
            f"which is {context} tokens. Ollama says: {said}."
        )
    if error.status_code == 404:
        return ModelNotFound(said)
    if 400 <= error.status_code < 500:
        return BadRequest(said)
    return Unavailable(f"Ollama: {said}")
