"""An engine of plain arithmetic that keeps the contract: a token is a word, an answer a count."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence

from autobot.errors import ContextLengthExceeded, ModelNotFound
from deployments.llm.engine import ChatEvent, ChatRequest, Delta, Finish, ModelCard, Start
from deployments.llm.gate import Gate


class FakeEngine:
    """Answers `token_s` apart with the words 1, 2, 3, ... or seeded numbers when it is warm."""

    name = "fake"

    def __init__(
        self,
        models: Sequence[str] = ("fake",),
        *,
        context: int = 64,
        slots: int = 2,
        waiting: int = 2,
        token_s: float = 0.0,
    ) -> None:
        self._models = tuple(models)
        self._context = context
        self._token_s = token_s
        self.gate = Gate(slots, waiting)

    async def models(self) -> Sequence[ModelCard]:
        return [ModelCard(name, self.name, 0, self._context, True) for name in self._models]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        if request.model not in self._models:
            raise ModelNotFound(f"The fake engine has no model '{request.model}'.")
        prompt = sum(len(message.content.split()) for message in request.messages)
        if prompt >= self._context:
            raise ContextLengthExceeded(
                f"The prompt has {prompt} tokens; the context of '{request.model}' is "
                f"{self._context} tokens."
            )
        async with self.gate.enter():
            yield Start(request.model, self.name, "CPU")
            limit = self._context - prompt
            limit = min(limit, request.max_tokens or limit)
            state = secrets.randbits(31) if request.seed is None else request.seed
            said = ""
            for count in range(1, limit + 1):
                await asyncio.sleep(self._token_s)
                state = (state * 1103515245 + 12345) % 2**31  # ANSI C's example generator
                word = f"{state if request.temperature else count} "
                if any(stop in said + word for stop in request.stop):
                    yield Finish("stop", prompt, count)
                    return
                said += word
                yield Delta(word)
            yield Finish("length", prompt, limit)

    async def close(self) -> None:
        return None
