"""Chats from llama.cpp, in a process of their own: see `host`.

Chats are streamed over the engine's Unix socket: native code runs without the replica's interpreter
lock, and closing the connection is how a hang-up reaches it, in the middle of a long prompt too.
"""

import hashlib
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import (
    AutoBotError,
    BadRequest,
    ContextLengthExceeded,
    ModelNotFound,
    Unavailable,
)
from deployments.llm.engine import (
    WAITING,
    WAITING_EACH,
    Chat,
    ChatEvent,
    ChatRequest,
    Finish,
    ModelCard,
    Start,
)
from deployments.llm.engines.llamacpp.memory_plan import LONGEST_CONTEXT, MOST_SLOTS, plan_load
from deployments.llm.engines.llamacpp.process import LlamaProcess
from deployments.llm.engines.llamacpp.unix_http import Answer, BrokenOff
from deployments.llm.engines.openai_events import read_events
from deployments.llm.engines.prompt_length import refuse_what_cannot_fit
from deployments.llm.grammar.bound import grammar_of
from deployments.llm.grammar.compiler import Grammar
from deployments.llm.grammar.turns import Turns
from deployments.llm.models.cache import ModelCache
from deployments.llm.models.registry import ModelFile

RANDOM_SEED = 0xFFFFFFFF
"""llama.cpp takes this one value to mean: choose a seed."""


class LlamaCppEngine:
    """Runs the GGUF files `registry` lists: one stays loaded (`pinned`) and one beside it."""

    name = "llama.cpp"

    def __init__(
        self,
        registry: Callable[[], Sequence[ModelFile]],
        log: Path,
        *,
        pinned: Callable[[], str | None] = lambda: None,
        slots: int = MOST_SLOTS,
        waiting: int = WAITING,
        context: int = LONGEST_CONTEXT,
        room: int = 2,
        keep_alive_s: float = -1,
    ) -> None:
        self._registry = registry
        self._log = log
        self._slots = slots
        self._context = context
        self._cache: ModelCache[LlamaProcess] = ModelCache(self._load, room, pinned, keep_alive_s)
        self._turns = Turns()
        self.limiter = ConcurrencyLimiter(
            slots, waiting, waiting_each=WAITING_EACH, spare=True, what="chats"
        )

    def preload(self, name: str) -> LlamaProcess:
        """Load before the first request. Blocks: for a constructor, not for the event loop."""
        process = self._load(name)
        self._cache.put(name, process)
        return process

    def loaded(self, name: str) -> LlamaProcess | None:
        """The model's process while it is in memory and alive, else None. Loads nothing."""
        return self._cache.get(name)

    async def ensure(self, name: str) -> None:
        """Load a model that is not `loaded`: a live process of its name would be ended first.

        Raises `ModelNotFound`, `BadModelFile`, `Busy` when no other model can leave, and
        `Unavailable` when it does not fit into memory or llama.cpp cannot load it.
        """
        await self._cache.ensure(name)

    async def load(self, name: str, keep_alive_s: float | None) -> None:
        """Bring a model into memory and let it stay as after a chat."""
        self._file(name)
        async with self._cache.borrow(name, keep_alive_s):
            pass

    async def unload(self, name: str) -> None:
        """Free its memory now. Raises `Busy` while it answers."""
        await self._cache.drop(name)

    async def models(self) -> Sequence[ModelCard]:
        """All files of the registry.

        `context` is what a loaded model has; of any other it is the most that it may get.
        """
        return [self._card(file, self._cache.get(file.name)) for file in self._registry()]

    def _card(self, file: ModelFile, process: LlamaProcess | None) -> ModelCard:
        status = file.path.stat()
        return ModelCard(
            file.name,
            self.name,
            int(status.st_mtime),
            process.plan.context if process else min(file.context, self._context),
            process is not None,
            size=status.st_size,
            vram=status.st_size if process and process.device != "CPU" else 0,
            digest=file.sha256,
            expires=self._cache.expires(file.name),
            details=file.details,
        )

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        file = self._file(request.model)
        if request.images:
            raise BadRequest(f"The model '{request.model}' cannot see images.")
        refuse_what_cannot_fit(request, self._longest(request.model))
        grammar = None
        if request.schema is not None:
            grammar = await self._turns.make(grammar_of, request.schema, request.caller)
        target = "/v1/chat/completions" if request.prompt is None else "/v1/completions"
        async with AsyncExitStack() as held:
            await held.enter_async_context(self.limiter.slot(request.caller))
            process = await held.enter_async_context(
                self._cache.borrow(request.model, request.keep_alive_s)
            )
            await held.enter_async_context(_translated(process))
            answer = await held.enter_async_context(
                process.client.request("POST", target, _body(request, grammar))
            )
            if answer.status != 200:
                raise _refusal(answer.status, await answer.read(), request.model)
            bound = grammar is not None and grammar.complete
            start = Start(request.model, self.name, process.device, bound=bound)
            return Chat(start, self._events(answer, file, process), held.pop_all())

    async def _events(
        self, answer: Answer, file: ModelFile, process: LlamaProcess
    ) -> AsyncGenerator[ChatEvent, None]:
        process.chats += 1
        number, alone = process.chats, process.users == 1
        async with aclosing(read_events(answer.pieces(), self.name)) as events:
            async for event in events:
                if isinstance(event, Finish):
                    alone = alone and process.chats == number
                    event = replace(event, fingerprint=_fingerprint(file, process, alone))
                yield event

    async def close(self) -> None:
        await self._cache.close()

    def _file(self, name: str) -> ModelFile:
        for file in self._registry():
            if file.name == name:
                return file
        raise ModelNotFound(f"There is no model '{name}' on this machine.")

    def _longest(self, name: str) -> int:
        """The context in tokens; of a model that is not loaded, the most it may get."""
        process = self._cache.get(name)
        return process.plan.context if process else min(self._file(name).context, self._context)

    def _load(self, name: str) -> LlamaProcess:
        path = self._file(name).path
        free = psutil.virtual_memory().available
        return LlamaProcess(name, plan_load(path, free, self._slots, self._context), self._log)


def _body(request: ChatRequest, grammar: Grammar | None) -> dict[str, Any]:
    """llama.cpp speaks OpenAI's words; what is not set is left to it."""
    body: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        # A word after each batch of the prompt: only while it writes does the engine notice a
        # hang-up for certain (its timer for that starts again with every token of another chat).
        "return_progress": True,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "min_p": request.min_p,
        "repeat_penalty": request.repeat_penalty,
        "repeat_last_n": request.repeat_last_n,
        "logit_bias": [list(one) for one in request.logit_bias] or None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "stop": list(request.stop) or None,
        # Of our own making: the engine's converter holds fewer keywords, says nothing of those it
        # ignores, and can be made to write a grammar that stops it.
        "grammar": grammar.text if grammar else None,
    }
    if request.prompt is None:
        body["messages"] = [{"role": m.role, "content": m.content} for m in request.messages]
    else:
        body["prompt"] = request.prompt
    if request.seed is not None:
        # What is left of a prompt behind a cached beginning is computed in other batches, which
        # rounds differently: the same seed would give other words the second time.
        body |= {"seed": request.seed % RANDOM_SEED, "cache_prompt": False}
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
        body |= {"n_probs": request.logprobs} if request.prompt is not None else {}
    return {key: value for key, value in body.items() if value is not None}


engine_version = cache(version)
"""Read from the disk once: it is part of every answer."""


def _fingerprint(file: ModelFile, process: LlamaProcess, alone: bool) -> str:
    """The same for chats that the same program, file and plan have computed ``alone``. Chats beside
    each other are computed in shared batches, which round differently: theirs is never the same."""
    plan = process.plan
    parts = (engine_version("xllamacpp"), file.sha256 or file.name, process.device)
    shape = (plan.context, plan.slots, plan.threads)
    same = f"fp_{hashlib.sha256(repr((parts, shape)).encode()).hexdigest()[:10]}"
    return same if alone else f"{same}_shared_{secrets.token_hex(4)}"


def _refusal(status: int, content: bytes, model: str) -> AutoBotError:
    try:
        error: dict[str, Any] = json.loads(content)["error"]
    except (ValueError, KeyError):
        return Unavailable(f"llama.cpp answered {status}: {content[:200]!r}")
    if error.get("type") == "exceed_context_size_error":
        return ContextLengthExceeded(
            f"The prompt has {error['n_prompt_tokens']} tokens; the context of '{model}' is "
            f"{error['n_ctx']} tokens.",
            error["n_prompt_tokens"],
            error["n_ctx"],
        )
    if status < 500:
        return BadRequest(str(error.get("message")))
    return Unavailable(f"llama.cpp answered {status}: {error.get('message')}")


@asynccontextmanager
async def _translated(process: LlamaProcess) -> AsyncGenerator[None, None]:
    process.watchdog.wake()
    try:
        yield
    except TimeoutError as error:
        raise Unavailable(f"llama.cpp was silent for too long on '{process.name}'.") from error
    except BrokenOff as error:
        what = "ended" if await process.ended(within_s=1.0) else "broke off"
        why = f": {process.watchdog.reason}" if process.watchdog.reason else ""
        raise Unavailable(f"llama.cpp {what} while it ran '{process.name}'{why}.") from error
