"""An engine of plain arithmetic that keeps the contract: a token is a word, an answer a count."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import BadRequest, ContextLengthExceeded, ModelNotFound
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
    TokenLogprob,
)

FINGERPRINT = "fp_fake"


class FakeEngine:
    """Answers `token_s` apart: the words of `script` in turn, an example of the request's schema,
    else 1, 2, 3, ... or seeded numbers when it is warm."""

    name = "fake"

    def __init__(
        self,
        models: Sequence[str] = ("fake",),
        *,
        context: int = 64,
        slots: int = 2,
        waiting: int = WAITING,
        token_s: float = 0.0,
        script: Sequence[str] = (),
        vision: bool = False,
    ) -> None:
        self._models = tuple(models)
        self._context = context
        self._token_s = token_s
        self._script = list(script)
        self._vision = vision
        self.requests: list[ChatRequest] = []
        self.limiter = ConcurrencyLimiter(slots, waiting, waiting_each=WAITING_EACH, what="chats")

    async def models(self) -> Sequence[ModelCard]:
        return [
            ModelCard(name, self.name, 0, self._context, True, vision=self._vision)
            for name in self._models
        ]

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        if request.model not in self._models:
            raise ModelNotFound(f"The fake engine has no model '{request.model}'.")
        if request.images and not self._vision:
            raise BadRequest(f"The model '{request.model}' cannot see images.")
        texts = [request.prompt or "", *(message.content for message in request.messages)]
        prompt = sum(len(text.split()) for text in texts)
        if prompt >= self._context:
            raise ContextLengthExceeded(
                f"The prompt has {prompt} tokens; the context of '{request.model}' is "
                f"{self._context} tokens.",
                prompt,
                self._context,
            )
        self.requests.append(request)
        limit = self._context - prompt
        async with AsyncExitStack() as held:
            await held.enter_async_context(self.limiter.slot(request.caller))
            events = self._say(request, prompt, min(limit, request.max_tokens or limit))
            return Chat(Start(request.model, self.name, "CPU"), events, held.pop_all())

    async def _say(
        self, request: ChatRequest, prompt: int, limit: int
    ) -> AsyncGenerator[ChatEvent, None]:
        text, count = "", 0
        for word in self._words(request):
            await asyncio.sleep(self._token_s)
            if count == limit:
                yield Finish("length", prompt, count, fingerprint=FINGERPRINT)
                return
            count += 1
            if any(stop in text + word for stop in request.stop):
                break
            text += word
            yield Delta(word, _logprobs(word, request.logprobs))
        yield Finish("stop", prompt, count, fingerprint=FINGERPRINT)

    def _words(self, request: ChatRequest) -> Iterator[str]:
        if self._script:
            yield from _split(self._script.pop(0))
        elif request.schema is not None:
            yield from _split(json.dumps(_example(request.schema)))
        else:
            yield from _numbers(request)

    async def close(self) -> None:
        return None


def _numbers(request: ChatRequest) -> Iterator[str]:
    state = secrets.randbits(31) if request.seed is None else request.seed
    count = 0
    while True:
        count += 1
        state = (state * 1103515245 + 12345) % 2**31  # ANSI C's example generator
        yield f"{state if request.temperature else count} "


def _split(text: str) -> list[str]:
    *words, last = text.split(" ")
    return [f"{word} " for word in words] + [last]


def _logprobs(word: str, wanted: int | None) -> tuple[TokenLogprob, ...]:
    if wanted is None:
        return ()
    others = tuple(TokenLogprob(f"{word}{n}", -1.0 - n) for n in range(wanted))
    return (TokenLogprob(word, -0.5, others),)


def _example(schema: Schema) -> Any:
    try:
        return example(schema, schema)
    except (RecursionError, LookupError, TypeError, AttributeError) as error:
        raise BadRequest(f"This schema has no example: {error!r}.") from error


def example(schema: Any, root: Any) -> Any:
    """A small value that is valid against the common parts of JSON schema."""
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return example(target, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return example(schema[key][0], root)
    match schema.get("type"):
        case "object":
            parts = schema.get("properties", {})
            return {name: example(parts[name], root) for name in schema.get("required", ())}
        case "array":
            return [example(schema.get("items", {}), root)] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "x" * schema.get("minLength", 1)
