"""Chats from llama.cpp, embedded through `driver_llamacpp_host`.

Chats are streamed over the engine's Unix socket: native code runs without the replica's interpreter
lock, and closing the connection is how a hang-up reaches it, in the middle of a long prompt too.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from autobot.errors import (
    AutoBotError,
    BadRequest,
    ContextLengthExceeded,
    ModelNotFound,
    Unavailable,
)
from deployments.llm.engine import ChatEvent, ChatRequest, Delta, Finish, ModelCard, Start
from deployments.llm.gate import Gate
from deployments.llm.llamacpp_process import LlamaProcess
from deployments.llm.plan import LONGEST_CONTEXT, MOST_SLOTS, plan_load
from deployments.llm.shelf import Shelf

RANDOM_SEED = 0xFFFFFFFF
"""llama.cpp takes this one value to mean: choose a seed."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file this engine may load. `context` is what the model was trained for, in tokens."""

    name: str
    path: Path
    context: int


class LlamaCppEngine:
    """Runs the GGUF files `library` lists: one stays loaded (`pinned`) and one beside it."""

    name = "llama.cpp"

    def __init__(
        self,
        library: Callable[[], Sequence[ModelFile]],
        log: Path,
        *,
        pinned: Callable[[], str | None] = lambda: None,
        slots: int = MOST_SLOTS,
        waiting: int = 16,
        context: int = LONGEST_CONTEXT,
        room: int = 2,
    ) -> None:
        self._library = library
        self._log = log
        self._slots = slots
        self._context = context
        self._shelf: Shelf[LlamaProcess] = Shelf(self._load, room, pinned)
        self.gate = Gate(slots, waiting)

    def preload(self, name: str) -> LlamaProcess:
        """Load before the first request. Blocks: for a constructor, not for the event loop."""
        process = self._load(name)
        self._shelf.put(name, process)
        return process

    def loaded(self, name: str) -> LlamaProcess | None:
        return self._shelf.get(name)

    async def ensure(self, name: str) -> None:
        await self._shelf.ensure(name)

    async def models(self) -> Sequence[ModelCard]:
        return [
            ModelCard(
                file.name,
                self.name,
                int(file.path.stat().st_mtime),
                process.plan.context if process else min(file.context, self._context),
                process is not None,
            )
            for file in self._library()
            for process in [self._shelf.get(file.name)]
        ]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self._file(request.model)
        async with self.gate.enter(), self._shelf.borrow(request.model) as process:
            answer = process.client.stream("POST", "/v1/chat/completions", json=_body(request))
            async with _translated(process), answer as response:
                if response.status_code != 200:
                    await response.aread()
                    raise _refusal(response, request.model)
                yield Start(request.model, self.name, process.device)
                async for event in _events(response):
                    yield event

    async def close(self) -> None:
        await self._shelf.close()

    def _file(self, name: str) -> ModelFile:
        for file in self._library():
            if file.name == name:
                return file
        raise ModelNotFound(f"There is no model '{name}' on this machine.")

    def _load(self, name: str) -> LlamaProcess:
        path = self._file(name).path
        free = psutil.virtual_memory().available
        return LlamaProcess(name, plan_load(path, free, self._slots, self._context), self._log)


def _body(request: ChatRequest) -> dict[str, Any]:
    """llama.cpp speaks OpenAI's words; what is not set is left to it."""
    body: dict[str, Any] = {
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        # A word after each batch of the prompt: only while it writes does the engine notice a
        # hang-up for certain (its timer for that starts again with every token of another chat).
        "return_progress": True,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "stop": list(request.stop) or None,
    }
    if request.seed is not None:
        body["seed"] = request.seed % RANDOM_SEED
    return {key: value for key, value in body.items() if value is not None}


async def _events(response: httpx.Response) -> AsyncIterator[ChatEvent]:
    """Parse the engine's server-sent events; its usage comes after its last text."""
    reason = ""
    rest = b""
    async for data in response.aiter_raw():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if not line.startswith(b"data: {"):
                continue  # blank separators, keep-alive comments, [DONE]
            chunk = json.loads(line[6:])
            for choice in chunk.get("choices", ()):
                reason = choice["finish_reason"] or reason
                if text := choice["delta"].get("content"):
                    yield Delta(text)
            if usage := chunk.get("usage"):
                yield _finish(reason, usage)
            elif "error" in chunk:
                raise Unavailable(f"llama.cpp stopped: {chunk['error'].get('message')}")


def _finish(reason: str, usage: dict[str, Any]) -> Finish:
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    return Finish(
        "length" if reason == "length" else "stop",
        usage["prompt_tokens"],
        usage["completion_tokens"],
        cached,
    )


def _refusal(response: httpx.Response, model: str) -> AutoBotError:
    try:
        error: dict[str, Any] = response.json()["error"]
    except (ValueError, KeyError):
        return Unavailable(f"llama.cpp answered {response.status_code}: {response.text[:200]}")
    if error.get("type") == "exceed_context_size_error":
        return ContextLengthExceeded(
            f"The prompt has {error['n_prompt_tokens']} tokens; the context of '{model}' is "
            f"{error['n_ctx']} tokens."
        )
    if response.status_code < 500:
        return BadRequest(str(error.get("message")))
    return Unavailable(f"llama.cpp answered {response.status_code}: {error.get('message')}")


@asynccontextmanager
async def _translated(process: LlamaProcess) -> AsyncGenerator[None, None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise Unavailable(f"llama.cpp was silent for too long on '{process.name}'.") from error
    except httpx.TransportError as error:
        what = "ended" if await process.ended(within_s=1.0) else "broke off"
        raise Unavailable(f"llama.cpp {what} while it ran '{process.name}'.") from error
