"""Embeddings: room npu makes them, room llm offers them to Ollama's clients."""

from dataclasses import dataclass
from typing import Protocol

from autobot.errors import ContextLengthExceeded, ModelNotFound


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts for ``model``; ``cut`` allows to read only the beginning of those that do not fit."""

    model: str
    texts: list[str]
    dimensions: int | None = None
    cut: bool = False
    caller: str = ""
    """The id of the API key it is asked with, whose turn it takes."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector a text, made by ``model``; ``tokens`` is how many it read."""

    model: str
    vectors: list[list[float]]
    tokens: int
    engine: str
    device: str
    cut: int = 0
    """How many of the texts were too long and were cut at their end."""


class Embeddings(Protocol):
    async def embed(self, request: EmbeddingRequest) -> Vectors:
        """Raises `ModelNotFound`, `ContextLengthExceeded`, `Busy`, `Unavailable`."""
        ...


class FakeEmbeddings:
    """`Embeddings` of one ``model``, which reads ``longest`` words of a text."""

    def __init__(self, model: str = "fake", longest: int = 4) -> None:
        self._model, self._longest = model, longest
        self.asked: list[EmbeddingRequest] = []

    async def embed(self, request: EmbeddingRequest) -> Vectors:
        """Return vectors of one number each: how many words of the text were read."""
        self.asked.append(request)
        if request.model not in (self._model, "default"):
            raise ModelNotFound(f"There is no model '{request.model}'.")
        words = [len(text.split()) for text in request.texts]
        if max(words, default=0) > self._longest and not request.cut:
            raise ContextLengthExceeded(f"A text has more than {self._longest} tokens.")
        read = [min(count, self._longest) for count in words]
        cut = sum(count > self._longest for count in words)
        vectors = [[float(count)] for count in read]
        return Vectors(self._model, vectors, sum(read), "fake", "CPU", cut)
