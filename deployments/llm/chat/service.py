"""The room's chat service: names to engines, and nothing about HTTP."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from autobot.errors import AutoBotError, Busy, ModelNotFound, Unavailable
from deployments.llm.chat.structured import promised
from deployments.llm.chat.tool_chat import RoomEvent, RoomStream, with_tools
from deployments.llm.chat.tools import Calls, Toolbox, ToolCall
from deployments.llm.engine import (
    ChatEngine,
    ChatRequest,
    ChatStream,
    Delta,
    Finish,
    ModelCard,
    Start,
    TokenLogprob,
    untagged,
)

DEFAULT = "default"
FALLBACK = "fallback"
"""Stands for the engine of a declared list, which is whichever of its places answers."""
Fallbacks = Mapping[str, Sequence[str]]
"""Model -> the places it may run, in order, each ``engine/model``."""
GOES_ON = (Unavailable, Busy, ModelNotFound)
"""What makes a declared list go on to its next place. A wrong request is wrong everywhere."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: text, or calls."""

    start: Start
    text: str
    finish: Finish
    calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


class ChatService:
    """Chats on the first of `engines` that has the model; `default` is the owner's own choice.

    A model with a declared list of `fallbacks` runs at the first place of it that answers.
    """

    def __init__(
        self,
        engines: Sequence[ChatEngine],
        default: Callable[[], str | None],
        fallbacks: Fallbacks | None = None,
    ) -> None:
        self._engines = tuple(engines)
        self._default = default
        self._fallbacks = fallbacks or {}

    @property
    def default(self) -> str | None:
        """The owner's choice, asked for anew each time; None when there is no model."""
        return self._default()

    async def models(self) -> list[ModelCard]:
        """Every model once: an earlier engine's hides a later one's of the same name."""
        found: dict[str, ModelCard] = {}
        for engine in self._engines:
            for card in await engine.models():
                found.setdefault(card.name, card)
        return list(found.values())

    async def offered(self) -> list[ModelCard]:
        """What a chat may name: the declared lists, each of which hides a model of its name, and
        every other model."""
        return [
            *map(self._list, self._fallbacks),
            *(card for card in await self.models() if card.name not in self._fallbacks),
        ]

    async def offer(self, name: str) -> ModelCard:
        """One entry of `offered`; raises as `model`."""
        wanted = (self.default or name) if untagged(name) == DEFAULT else name
        names = (name, untagged(name), wanted)
        found = next((one for one in names if one in self._fallbacks), None)
        return self._list(found) if found else await self.model(name)

    async def model(self, name: str) -> ModelCard:
        """One model's card; raises `ModelNotFound` naming what there is."""
        return (await self._find(name))[1]

    def chat(self, request: ChatRequest, toolbox: Toolbox | None = None) -> RoomStream:
        """The chat's events; errors as in `ChatEngine`. With a toolbox it may end in `Calls`."""
        if toolbox:
            return with_tools(self._chat, request, toolbox)
        return self._chat(request) if request.schema is None else promised(self._chat, request)

    async def answer(self, request: ChatRequest, toolbox: Toolbox | None = None) -> Answer:
        """Run the chat to its end."""
        async with aclosing(self.chat(request, toolbox)) as events:
            found = [event async for event in events]
        start = found[0]
        assert isinstance(start, Start)
        return gather(start, found)

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    async def _chat(self, request: ChatRequest) -> ChatStream:
        places = self._places(request.model)
        if places is None:
            engine, card = await self._find(request.model)
            events = engine.chat(replace(request, model=card.name))
        else:
            events = self._first_that_answers(places, request)
        async with aclosing(events):  # a reader that stops early must free the slot now
            async for event in events:
                yield event

    async def _first_that_answers(self, places: Sequence[str], request: ChatRequest) -> ChatStream:
        """Go down the list until an engine begins to answer; its `Start` says why those before it
        did not. Nothing is tried again after the first word: two engines never share an answer."""
        said: list[str] = []
        last: AutoBotError = Unavailable(f"No engine is declared for '{request.model}'.")
        for place in places:
            engine_name, _, model = place.partition("/")
            async with aclosing(self._at(engine_name, replace(request, model=model))) as events:
                try:
                    start = await anext(events)
                except GOES_ON as error:
                    said.append(f"{engine_name}: {error.detail}")
                    last = error
                    continue
                assert isinstance(start, Start)
                yield replace(start, fallback="; ".join(said) or None)
                async for event in events:
                    yield event
                return
        if len(said) > 1:
            raise Unavailable("; ".join(said)) from last
        raise last

    async def _at(self, name: str, request: ChatRequest) -> ChatStream:
        engine = next((one for one in self._engines if one.name == name), None)
        if engine is None:
            raise Unavailable(f"there is no engine '{name}' that chats here.")
        async with aclosing(engine.chat(request)) as events:
            async for event in events:
                yield event

    def _list(self, name: str) -> ModelCard:
        return ModelCard(name, FALLBACK, 0, details={"places": ", ".join(self._fallbacks[name])})

    def _places(self, name: str) -> Sequence[str] | None:
        for one in (name, untagged(name)):
            if one in self._fallbacks:
                return self._fallbacks[one]
        return self._fallbacks.get(self.default or "") if untagged(name) == DEFAULT else None

    async def _find(self, name: str) -> tuple[ChatEngine, ModelCard]:
        wanted = self.default if untagged(name) == DEFAULT else name
        if wanted is None:
            raise ModelNotFound("No chat model is installed: `autobot models pull` gets one.")
        found = [(engine, card) for engine in self._engines for card in await engine.models()]
        for names in ((wanted,), (untagged(wanted), f"{wanted}:latest")):
            for engine, card in found:
                if card.name in names:
                    return engine, card
        there = ", ".join(card.name for card in await self.models()) or "none"
        raise ModelNotFound(f"There is no model '{wanted}'. There are: {there}.")


def gather(start: Start, events: Iterable[RoomEvent]) -> Answer:
    """The whole answer out of a finished chat's events."""
    calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None
    pieces: list[Delta] = []
    for event in events:
        if isinstance(event, Delta):
            pieces.append(event)
        elif isinstance(event, Calls):
            calls = event.calls
        elif isinstance(event, Finish):
            finish = event
    assert finish  # the contract of every engine
    text = "".join(piece.text for piece in pieces)
    logprobs = tuple(one for piece in pieces for one in piece.logprobs)
    return Answer(start, text, finish, calls, logprobs)
