"""What a chat engine is: the contract every driver and the fake keep.

``await engine.chat(request)`` returns when the engine has accepted the request and knows where it
runs, and raises whatever comes before that. The `Chat` is then read: `Delta` for each piece of
text, and `Finish` once, with the engine's own token counts. Closing it early frees the engine's
slot.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length"]
Schema = Mapping[str, Any]
ANY_OBJECT: Schema = {"type": "object"}
PICTURES: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}
"""How each kind of picture begins that a chat may hold, and its media type."""
WAITING = 64
"""Chats that may wait for an engine's slots."""
WAITING_EACH = 16
"""Of these, of one API key: no key fills the queue alone."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """`images` are encoded pictures that `picture_type` knows, for models that can see."""

    role: Role
    content: str
    images: tuple[bytes, ...] = ()


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
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    """How many tokens back `repeat_penalty` looks; -1 is the whole context."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """What is added to tokens' logits, by their ids in the model's own vocabulary."""
    schema: Schema | None = None
    """The whole answer is decoded under this JSON schema."""
    logprobs: int | None = None
    """Log-probabilities wanted of each token, with this many alternatives."""
    prompt: str | None = None
    """Raw text to continue, in place of messages and the model's chat template."""
    keep_alive_s: float | None = None
    """How long the model stays in memory after this chat; negative is for ever."""
    caller: str = ""
    """The id of the API key it is asked with: keys that wait for a slot take turns."""

    @property
    def images(self) -> tuple[bytes, ...]:
        """The encoded pictures of all messages, in their order."""
        return tuple(image for message in self.messages for image in message.images)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's text and natural log-probability, and the likeliest in its place."""

    token: str
    logprob: float
    top: "tuple[TokenLogprob, ...]" = ()


@dataclass(frozen=True, slots=True)
class Start:
    """The engine began to answer; `device` is what it reports, never an assumption.

    `fallback` says why an engine before this one in the model's list did not answer.
    """

    model: str
    engine: str
    device: str
    fallback: str | None = None
    bound: bool = False
    """No answer that breaks the schema can be decoded: it may be passed on as it comes."""


@dataclass(frozen=True, slots=True)
class Delta:
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is complete; the counts are the engine's."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    fingerprint: str | None = None
    """Of all that computed the answer: one request with one seed gives one answer wherever this is
    the same. None when the engine does not say."""


ChatEvent = Delta | Finish
Event = TypeVar("Event", covariant=True)


class Chat(Generic[Event]):
    """A chat whose engine has begun to answer: `start` says where, iterating gives its events.

    Its reader closes it: it keeps the engine's slot until `aclose`, or until its end or an error.
    One that is dropped, because its caller was cancelled in between, is closed by the event loop a
    moment later.
    """

    def __init__(
        self,
        start: Start,
        events: AsyncGenerator[Event, None],
        held: AbstractAsyncContextManager[object, bool | None],
    ) -> None:
        """``held`` is what the events need, entered already. It is left when the chat ends, with
        the events' error when there is one, which it may translate.

        Whatever it holds has to be freed as well when nobody refers to it any more. Context
        managers made of async generators are: an `AsyncExitStack` of such, `aclosing` of a chat.
        """
        self.start = start
        self._events = events
        self._held = held

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            await self.aclose()
            raise
        except BaseException as error:
            await self._held.__aexit__(type(error), error, error.__traceback__)
            raise

    async def aclose(self) -> None:
        """Stop the engine's work for this chat and free its slot. May be called again."""
        try:
            await self._events.aclose()
        finally:
            await self._held.__aexit__(None, None, None)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model an engine can run. `context` in tokens, `created` in seconds since the epoch.

    `size` is bytes on disk, or in memory where the engine says it; of these `vram` are in that of
    an accelerator. `expires` is when an idle one leaves memory, None when it stays.
    """

    name: str
    engine: str
    created: int
    context: int | None = None
    loaded: bool = False
    vision: bool = False
    size: int = 0
    vram: int = 0
    digest: str = ""
    expires: float | None = None
    details: Mapping[str, str] = field(default_factory=dict[str, str])


def picture_type(content: bytes) -> str | None:
    """The media type by the first bytes; None of what is no PNG, JPEG, WebP or GIF picture."""
    if content.startswith(b"RIFF") and content[8:12] != b"WEBP":
        return None  # sound and video are RIFF files too
    return next((kind for begin, kind in PICTURES.items() if content.startswith(begin)), None)


def untagged(name: str) -> str:
    """A model's name without the tag ``:latest``, which Ollama's clients add to any name."""
    return name.removesuffix(":latest")


class ChatEngine(Protocol):
    """Runs chats on models it names itself.

    To await `chat` raises `ModelNotFound`, `ContextLengthExceeded` (never cuts a prompt), `Busy`
    when the queue is full, `Unavailable` when the engine is down, `BadRequest` for what it cannot
    do (a schema it cannot decode under, images, log-probabilities). Cancelled while it waits, it
    leaves nothing behind. To read the chat raises `Unavailable` when the engine fails on the way.
    """

    @property
    def name(self) -> str:
        """What a declared list of fallbacks calls it, before the slash of ``engine/model``."""
        ...

    async def models(self) -> Sequence[ModelCard]:
        """What can be run now; empty, quickly, when the engine does not answer."""
        ...

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        """Wait for a slot and for the engine to begin; errors as above. The caller closes it."""
        ...

    async def close(self) -> None:
        """End its processes and connections. Nothing is asked of the engine afterwards."""
        ...
