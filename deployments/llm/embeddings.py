"""Embeddings asked of room llm: an Ollama server's own model, else room npu's. None is invented."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from autobot.errors import AutoBotError, Unavailable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector a text, made by `model`; `tokens` is how many it read."""

    model: str
    vectors: list[list[float]]
    tokens: int
    engine: str
    device: str


Embed = Callable[[str, list[str], int | None], Awaitable[Vectors]]
"""Model, texts, dimensions. Raises `ModelNotFound`, `ContextLengthExceeded`, `Unavailable`."""


class EmbeddingServer(Protocol):
    async def embeds(self, name: str) -> bool: ...
    async def embed(self, model: str, texts: list[str], dimensions: int | None) -> Vectors: ...


class Embeddings:
    """A model the Ollama server has for this is asked there; every other name is room npu's."""

    def __init__(self, server: EmbeddingServer, npu: Embed) -> None:
        self._server = server
        self._npu = npu

    async def embed(self, model: str, texts: list[str], dimensions: int | None = None) -> Vectors:
        if await self._server.embeds(model):
            return await self._server.embed(model, texts, dimensions)
        try:
            return await self._npu(model, texts, dimensions)
        except AutoBotError:
            raise
        except Exception as error:  # Ray's own: the room is away, or does not know this call
            log.warning("llm.no_embeddings", reason=type(error).__name__)
            raise Unavailable("Room npu, which makes embeddings, does not answer.") from error
