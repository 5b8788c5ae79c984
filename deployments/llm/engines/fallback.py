"""A chat engine made of chat engines: declared lists of places, tried in order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autobot.errors import AutoBotError, Busy, ModelNotFound, Unavailable
from deployments.llm.engine import Chat, ChatEngine, ChatEvent, ChatRequest, ModelCard

NAME = "fallback"
Fallbacks = Mapping[str, Sequence[str]]
"""Model -> the places it may run, in order, each ``engine/model``."""
GOES_ON = (Unavailable, Busy, ModelNotFound)
"""What makes a list go on to its next place. A wrong request is wrong everywhere."""


class FallbackEngine:
    """Its models are the declared lists; each runs at the first place of its own that answers.

    It ends nothing in `close`: the engines are those of whoever made it.
    """

    name = NAME

    def __init__(self, engines: Sequence[ChatEngine], fallbacks: Fallbacks) -> None:
        self._engines = tuple(engines)
        self._fallbacks = fallbacks

    async def models(self) -> Sequence[ModelCard]:
        """One for each list; the engines are not asked. Its details name the places."""
        return [
            ModelCard(name, self.name, 0, details={"places": ", ".join(places)})
            for name, places in self._fallbacks.items()
        ]

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        """The first place's chat that begins; its start says why the places before it did not.

        Nothing is tried again after the first word: two engines never share an answer. When several
        places refuse, their reasons are one `Unavailable`; a single one's error is raised as it is.
        """
        if request.model not in self._fallbacks:
            raise ModelNotFound(f"No list of places is declared for '{request.model}'.")
        reasons: list[str] = []
        last: AutoBotError = Unavailable(f"No engine is declared for '{request.model}'.")
        for place in self._fallbacks[request.model]:
            engine, _, model = place.partition("/")
            chat = await self._begun(engine, replace(request, model=model))
            if isinstance(chat, Chat):
                if reasons:
                    chat.start = replace(chat.start, fallback="; ".join(reasons))
                return chat
            reasons.append(f"{engine}: {chat.detail}")
            last = chat
        if len(reasons) > 1:
            raise Unavailable("; ".join(reasons)) from last
        raise last

    async def close(self) -> None:
        return None

    async def _begun(self, name: str, request: ChatRequest) -> Chat[ChatEvent] | AutoBotError:
        """The chat, or why this place does not answer.

        Caught in a frame of its own: an error refers to the frame that catches it, and one that
        refers to the next place's chat would keep that chat's slot when it is dropped.
        """
        engine = next((one for one in self._engines if one.name == name), None)
        if engine is None:
            return Unavailable(f"there is no engine '{name}' that chats here.")
        try:
            return await engine.chat(request)
        except GOES_ON as error:
            return error
