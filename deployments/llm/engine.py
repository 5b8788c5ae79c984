"""What a chat engine is: the contract every driver and the fake keep.

A chat is one stream of events: `Start` once, when the engine has accepted the request and knows
where it runs; then `Delta` for each piece of text; then `Finish` once, with the engine's own token
counts. Closing the stream early frees the engine's slot.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat. `None` leaves a value to the engine; `max_tokens` to the room in the context."""

    model: str
    messages: tuple[ChatMessage, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """The engine began to answer; `device` is what it reports, never an assumption."""

    model: str
    engine: str
    device: str


@dataclass(frozen=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is complete; the counts are the engine's."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


ChatEvent = Start | Delta | Finish
ChatStream = AsyncGenerator[ChatEvent, None]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model an engine can run. `context` in tokens, `created` in seconds since the epoch."""

    name: str
    engine: str
    created: int
    context: int | None = None
    loaded: bool = False


class ChatEngine(Protocol):
    """Runs chats on models it names itself.

    `chat` raises, before its first event: `ModelNotFound`, `ContextLengthExceeded` (never cuts a
    prompt), `Busy` when the queue is full, `Unavailable` when the engine is down.
    """

    @property
    def name(self) -> str: ...

    async def models(self) -> Sequence[ModelCard]:
        """What can be run now; empty, quickly, when the engine does not answer."""
        ...

    def chat(self, request: ChatRequest) -> ChatStream: ...

    async def close(self) -> None: ...
