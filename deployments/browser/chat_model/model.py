"""What this room needs of a language model: one structured answer to one question."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr

from autobot.errors import AutoBotError

Schema = dict[str, Any]


class ModelFailed(AutoBotError):
    """The model gave no answer that could be used."""

    status = 502
    type = "model-failed"


@dataclass(frozen=True)
class Question:
    """``rules`` are the same for all of a task. The answer is an object under ``schema``."""

    rules: str
    text: str
    schema: Schema
    name: str = "step"
    max_tokens: int = 500
    temperature: float = 0.0


@dataclass(frozen=True)
class Answered:
    """An object that the model said under the question's schema, and what it cost in tokens."""

    value: dict[str, Any]
    tokens: int


class Model(Protocol):
    """Answers. Raises `ContextLengthExceeded`, `Forbidden`, `ModelNotFound`, `Busy`, `Unavailable`
    as the platform's own API did, and `ModelFailed` for an answer that is no use."""

    async def answer(self, question: Question) -> Answered:
        """Return an object under the question's schema, and the tokens of question and answer."""
        ...

    async def close(self) -> None:
        """End its connections; it is asked nothing after that."""
        ...


Models = Callable[[str, SecretStr], Model]
"""Makes the model called so, asked with the caller's own key."""
