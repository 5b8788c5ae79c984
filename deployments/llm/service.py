"""The room's chat service: names to engines, and nothing about HTTP."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from autobot.errors import ModelNotFound
from deployments.llm.engine import (
    ChatEngine,
    ChatEvent,
    ChatRequest,
    Delta,
    Finish,
    ModelCard,
    Start,
)

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    start: Start
    text: str
    finish: Finish


class ChatService:
    """Chats on the first of `engines` that has the model; `default` is the owner's own choice."""

    def __init__(self, engines: Sequence[ChatEngine], default: Callable[[], str | None]) -> None:
        self._engines = tuple(engines)
        self._default = default

    @property
    def default(self) -> str | None:
        return self._default()

    async def models(self) -> list[ModelCard]:
        """Every model once: an earlier engine's hides a later one's of the same name."""
        found: dict[str, ModelCard] = {}
        for engine in self._engines:
            for card in await engine.models():
                found.setdefault(card.name, card)
        return list(found.values())

    async def model(self, name: str) -> ModelCard:
        """One model's card; raises `ModelNotFound` naming what there is."""
        return (await self._find(name))[1]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """The chat's events; errors as in `ChatEngine`."""
        engine, card = await self._find(request.model)
        events = engine.chat(replace(request, model=card.name))
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()  # a reader that stops early must free the slot now

    async def answer(self, request: ChatRequest) -> Answer:
        """Run the chat to its end."""
        start: Start | None = None
        finish: Finish | None = None
        pieces: list[str] = []
        async for event in self.chat(request):
            if isinstance(event, Delta):
                pieces.append(event.text)
            elif isinstance(event, Start):
                start = event
            else:
                finish = event
        assert start
        assert finish
        return Answer(start, "".join(pieces), finish)

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    async def _find(self, name: str) -> tuple[ChatEngine, ModelCard]:
        wanted = self.default if name == DEFAULT else name
        if wanted is None:
            raise ModelNotFound("No chat model is installed: `autobot models pull` gets one.")
        for engine in self._engines:
            for card in await engine.models():
                if card.name in (wanted, f"{wanted}:latest"):
                    return engine, card
        there = ", ".join(card.name for card in await self.models()) or "none"
        raise ModelNotFound(f"There is no model '{wanted}'. There are: {there}.")
