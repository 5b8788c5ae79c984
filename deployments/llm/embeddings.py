"""Embeddings asked of room llm: an Ollama server's own model, else room npu's. None is invented."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from deployments.llm.engine import untagged


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector a text, made by `model`; `tokens` is how many it read."""

    model: str
    vectors: list[list[float]]
    tokens: int
    engine: str
    device: str
    cut: int = 0
    """How many of the texts were too long and were cut at their end."""


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts for `model`; `cut` allows to read only the beginning of those that do not fit."""

    model: str
    texts: list[str]
    dimensions: int | None = None
    cut: bool = False
    caller: str = ""
    """The id of the API key it is asked with."""


Embed = Callable[[EmbeddingRequest], Awaitable[Vectors]]
"""Raises `ModelNotFound`, `ContextLengthExceeded`, `Unavailable`."""


class EmbeddingServer(Protocol):
    async def embeds(self, name: str) -> bool: ...
    async def embed(self, request: EmbeddingRequest) -> Vectors: ...


class Embeddings:
    """A model the Ollama server has for this is asked there; every other name is room npu's."""

    def __init__(self, server: EmbeddingServer, npu: Embed) -> None:
        self._server = server
        self._npu = npu

    async def embed(self, request: EmbeddingRequest) -> Vectors:
        if await self._server.embeds(request.model):
            return await self._server.embed(request)
        return await self._npu(replace(request, model=untagged(request.model)))
