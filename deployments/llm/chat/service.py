"""The room's chat service: names to engines, and nothing about HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from autobot.errors import ModelNotFound
from deployments.llm.chat.structured import promised
from deployments.llm.chat.tool_chat import RoomEvent, with_tools
from deployments.llm.chat.tools import Toolbox
from deployments.llm.engine import (
    Chat,
    ChatEngine,
    ChatEvent,
    ChatRequest,
    ModelCard,
    untagged,
)

DEFAULT = "default"


class ChatService:
    """Chats on the first of `engines` that has the model; `default` is the owner's own choice.

    What `lists` has hides a model of the same name: these are the declared lists of places.
    """

    def __init__(
        self,
        engines: Sequence[ChatEngine],
        default: Callable[[], str | None],
        lists: ChatEngine | None = None,
    ) -> None:
        self._engines = tuple(engines)
        self._default = default
        self._lists = lists

    @property
    def default(self) -> str | None:
        """The owner's choice, asked for anew each time; None when there is no model."""
        return self._default()

    async def models(self) -> list[ModelCard]:
        """Every model once: an earlier engine's hides a later one's of the same name."""
        cards: dict[str, ModelCard] = {}
        for engine in self._engines:
            for card in await engine.models():
                cards.setdefault(card.name, card)
        return list(cards.values())

    async def offered(self) -> list[ModelCard]:
        """What a chat may name: the declared lists, each of which hides a model of its name, and
        every other model."""
        lists = list(await self._lists.models()) if self._lists else []
        names = {card.name for card in lists}
        return [*lists, *(card for card in await self.models() if card.name not in names)]

    async def offer(self, name: str) -> ModelCard:
        """One entry of `offered`; raises as `model`."""
        return (await self._offered(name))[1]

    async def model(self, name: str) -> ModelCard:
        """One model's card; raises `ModelNotFound` naming what there is."""
        return (await self._found(name))[1]

    async def chat(self, request: ChatRequest, toolbox: Toolbox | None = None) -> Chat[RoomEvent]:
        """Begin a chat; errors as in `ChatEngine`. With a toolbox it may end in `Calls`."""
        if toolbox:
            return await with_tools(self._chat, request, toolbox)
        if request.schema is not None:
            return await promised(self._chat, request)
        return await self._chat(request)

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    async def _chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        engine, card = await self._offered(request.model)
        return await engine.chat(replace(request, model=card.name))

    async def _offered(self, name: str) -> tuple[ChatEngine, ModelCard]:
        if self._lists:
            cards = {card.name: card for card in await self._lists.models()}
            default = self.default if untagged(name) == DEFAULT else None
            for one in (name, untagged(name), default):
                if one in cards:
                    return self._lists, cards[one]
        return await self._found(name)

    async def _found(self, name: str) -> tuple[ChatEngine, ModelCard]:
        wanted = self.default if untagged(name) == DEFAULT else name
        if wanted is None:
            raise ModelNotFound("No chat model is installed: `autobot models pull` gets one.")
        pairs = [(engine, card) for engine in self._engines for card in await engine.models()]
        for names in ((wanted,), (untagged(wanted), f"{wanted}:latest")):
            for engine, card in pairs:
                if card.name in names:
                    return engine, card
        there = ", ".join(card.name for card in await self.models()) or "none"
        raise ModelNotFound(f"There is no model '{wanted}'. There are: {there}.")
