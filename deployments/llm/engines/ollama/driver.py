"""Chats from an Ollama server, when one answers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any

import httpx
import ollama

from autobot.concurrency import ConcurrencyLimiter
from autobot.contracts.embeddings import EmbeddingRequest, Vectors
from autobot.errors import (
    BadRequest,
    ModelNotFound,
    Unavailable,
)
from deployments.llm.engine import (
    WAITING,
    WAITING_EACH,
    Chat,
    ChatEvent,
    ChatRequest,
    Delta,
    Finish,
    ModelCard,
    Schema,
    Start,
)
from deployments.llm.engines.ollama.client import Client, body_of, too_long, translated
from deployments.llm.engines.prompt_length import refuse_what_cannot_fit
from deployments.llm.grammar.bound import relaxed
from deployments.llm.grammar.turns import Turns

PROBE_S = 0.3
"""The server is on this machine: one that takes longer is not one to wait for."""
KNOWN_FOR_S = 2.0
"""How long one look at the server serves: a chat must not cost a probe each."""
OLDEST = (0, 12, 6)
"""First release whose chats can be told not to cut a long prompt silently."""
LONGEST_CONTEXT = 8192
CUT_OFF = "Ollama ended the answer before it was complete."
AnswerPart = ollama.ChatResponse | ollama.GenerateResponse


@dataclass(frozen=True, slots=True)
class Sight:
    """The server as it was `at` a monotonic time; `reason` says why it cannot be used."""

    at: float
    models: dict[str, ModelCard]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says the model of this digest is able to do."""

    digest: str
    context: int
    vision: bool
    embeds: bool


class OllamaEngine:
    """Runs what the server at `url` has pulled. A server that is away simply has no models."""

    name = "ollama"

    def __init__(
        self,
        url: str,
        *,
        slots: int = 4,
        waiting: int = WAITING,
        context: int = LONGEST_CONTEXT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # For the eyes of whoever sees health: without the password that may stand in an address.
        self._place = httpx.URL(url).copy_with(userinfo=b"")
        self._client = Client(
            url,
            timeout=httpx.Timeout(600.0, connect=2.0),
            transport=transport,
            trust_env=False,
        )
        self._context = context
        self._sight: Sight | None = None
        self._facts: dict[str, Facts] = {}
        """Of each model by name, as of its digest: a model that is pulled again may differ."""
        self._turns = Turns()
        self.limiter = ConcurrencyLimiter(
            slots, waiting, waiting_each=WAITING_EACH, spare=True, what="chats"
        )

    @property
    def reason(self) -> str | None:
        """Why the server cannot be used, as of the last look; None when it can."""
        return self._sight.reason if self._sight else "not asked yet"

    async def models(self) -> Sequence[ModelCard]:
        """What the server has, by a look at most `KNOWN_FOR_S` old. Empty when it is away."""
        return list((await self._look()).models.values())

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        seen = await self._look()
        if request.model not in seen.models:
            away = f" ({seen.reason})" if seen.reason else ""
            raise ModelNotFound(f"Ollama has no model '{request.model}'{away}.")
        if request.logprobs is not None:
            raise BadRequest("Ollama does not give log-probabilities.")
        if request.logit_bias:
            raise BadRequest("logit_bias: Ollama does not take it.")
        if request.images and not (await self._facts_of(request.model)).vision:
            raise BadRequest(f"The model '{request.model}' cannot see images.")
        async with AsyncExitStack() as held:
            await held.enter_async_context(self.limiter.slot(request.caller))
            context = (await self._facts_of(request.model)).context
            refuse_what_cannot_fit(request, context)
            await held.enter_async_context(translated(request, context))
            parts = await held.enter_async_context(aclosing(await self._parts(request, context)))
            first = await anext(parts, None)
            if first is None:
                raise Unavailable(CUT_OFF)
            start = Start(request.model, self.name, await self._device(request.model))
            return Chat(start, _events(first, parts), held.pop_all())

    async def _parts(self, request: ChatRequest, context: int) -> AsyncGenerator[AnswerPart, None]:
        form: Schema | None = None
        if request.schema is not None:
            form = await self._turns.make(relaxed, request.schema, request.caller)
        body = body_of(request, context, form)
        if request.prompt is None:
            return await self._client.exactly(ollama.ChatResponse, "/api/chat", body)
        return await self._client.exactly(ollama.GenerateResponse, "/api/generate", body)

    async def close(self) -> None:
        await self._client.close()

    async def show(self, name: str) -> dict[str, Any]:
        """The server's own description, as plain data."""
        async with translated(None, 0):
            shown = (await self._client.show(name)).model_dump(mode="json", exclude_none=True)
        shown["model_info"] = shown.pop("modelinfo", {})
        return shown

    async def running(self) -> list[ModelCard]:
        """What is in the server's memory; empty when it does not answer."""
        if not (await self._look()).models:
            return []
        async with translated(None, 0):
            held = (await self._client.ps()).models
        known = (await self._look()).models
        return [
            replace(
                known[model.model],
                loaded=True,
                context=model.context_length,
                size=int(model.size or 0),
                vram=int(model.size_vram or 0),
                expires=model.expires_at.timestamp() if model.expires_at else None,
            )
            for model in held
            if model.model in known
        ]

    async def load(self, name: str, keep_alive_s: float | None) -> None:
        """An empty chat is the server's word for it."""
        async with translated(None, 0):
            await self._client.generate(name, keep_alive=keep_alive_s)

    async def unload(self, name: str) -> None:
        """Ask the server to keep it for 0 seconds, which frees its memory."""
        await self.load(name, 0)

    async def delete(self, name: str) -> None:
        """Remove it from the server. The next `models` looks at the server anew."""
        async with translated(None, 0):
            await self._client.delete(name)
        self._sight = None

    async def pull(self, name: str) -> AsyncGenerator[dict[str, Any], None]:
        """The server's progress objects as they come."""
        async with translated(None, 0):
            async for step in await self._client.pull(name, stream=True):
                yield step.model_dump(exclude_none=True)
        self._sight = None

    async def embeds(self, name: str) -> bool:
        """Whether the server has this model and it is one for embeddings."""
        known = (await self._look()).models
        tagged = next((n for n in (name, f"{name}:latest") if n in known), None)
        return tagged is not None and (await self._facts_of(tagged)).embeds

    async def embed(self, request: EmbeddingRequest) -> Vectors:
        """Raises `ContextLengthExceeded` for a text that would have to be cut and may not be."""
        async with self.limiter.slot(request.caller), translated(None, 0):
            try:
                answers = [await self._embedded(request, request.texts, cut=False)]
                cut = 0
            except ollama.ResponseError as error:
                if not request.cut or not too_long(error):
                    raise
                answers, cut = await self._each_embedded(request)
        name = answers[0].model or request.model
        vectors = [list(vector) for one in answers for vector in one.embeddings]
        tokens = sum(one.prompt_eval_count or 0 for one in answers)
        return Vectors(name, vectors, tokens, self.name, await self._device(name), cut)

    async def _embedded(
        self, request: EmbeddingRequest, texts: list[str], *, cut: bool
    ) -> ollama.EmbedResponse:
        return await self._client.embed(
            request.model, texts, truncate=cut, dimensions=request.dimensions
        )

    async def _each_embedded(
        self, request: EmbeddingRequest
    ) -> tuple[list[ollama.EmbedResponse], int]:
        """One by one: the server does not say which texts it cut."""
        answers: list[ollama.EmbedResponse] = []
        cut = 0
        for text in request.texts:
            try:
                answers.append(await self._embedded(request, [text], cut=False))
            except ollama.ResponseError as error:
                if not too_long(error):
                    raise
                answers.append(await self._embedded(request, [text], cut=True))
                cut += 1
        return answers, cut

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
            return Sight(time.monotonic(), {}, f"no Ollama server at {self._place}: {why}")
        if version < OLDEST:
            here, needed = (".".join(map(str, one)) for one in (version, OLDEST))
            reason = f"Ollama {here} cuts long prompts silently; {needed} or newer is needed"
            return Sight(time.monotonic(), {}, reason)
        cards = (self._card(model) for model in listed.models if model.model)
        return Sight(time.monotonic(), {card.name: card for card in cards})

    def _card(self, model: ollama.ListResponse.Model) -> ModelCard:
        name = model.model or ""
        changed = int(model.modified_at.timestamp()) if model.modified_at else 0
        facts = self._facts.get(name)
        if facts and facts.digest != (model.digest or ""):
            facts = None
        details = model.details.model_dump() if model.details else {}
        return ModelCard(
            name,
            self.name,
            changed,
            facts.context if facts else None,
            vision=bool(facts and facts.vision),
            size=int(model.size or 0),
            digest=model.digest or "",
            details={key: value for key, value in details.items() if isinstance(value, str)},
        )

    async def _facts_of(self, name: str) -> Facts:
        """The context to ask for is the model's own up to the room's limit. Asked once a digest."""
        card = (await self._look()).models.get(name)
        digest = card.digest if card else ""
        if name not in self._facts or self._facts[name].digest != digest:
            async with translated(None, 0):
                shown = await self._client.show(name)
            trained = [
                v for k, v in (shown.modelinfo or {}).items() if k.endswith(".context_length")
            ]
            able = shown.capabilities or []
            context = min([self._context, *map(int, trained)])
            self._facts[name] = Facts(digest, context, "vision" in able, "embedding" in able)
        return self._facts[name]

    async def _device(self, name: str) -> str:
        """Where the server says the loaded model is."""
        for model in (await self._client.ps()).models:
            if model.model == name:
                on_gpu, size = model.size_vram or 0, model.size or 0
                return "CPU" if on_gpu == 0 else "GPU" if on_gpu >= size else "CPU+GPU"
        return "unknown"


async def _events(
    first: AnswerPart, others: AsyncGenerator[AnswerPart, None]
) -> AsyncGenerator[ChatEvent, None]:
    part: AnswerPart | None = first
    while part is not None:
        text = part.message.content if isinstance(part, ollama.ChatResponse) else part.response
        if text:
            yield Delta(text)
        if part.done:
            yield Finish(
                "length" if part.done_reason == "length" else "stop",
                part.prompt_eval_count or 0,
                part.eval_count or 0,
            )
            return
        part = await anext(others, None)
    raise Unavailable(CUT_OFF)
