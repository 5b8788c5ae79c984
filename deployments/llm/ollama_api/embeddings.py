"""Embeddings asked of room llm: an Ollama server's own model, else room npu's. None is invented."""

from dataclasses import replace
from typing import Protocol

from autobot.contracts.embeddings import EmbeddingRequest, Embeddings, Vectors
from deployments.llm.engine import untagged


class EmbeddingServer(Embeddings, Protocol):
    async def embeds(self, name: str) -> bool:
        """Whether it has this model and it makes embeddings. False when no server answers."""
        ...


class OllamaOrNpu:
    """`Embeddings`: of a model that the Ollama server has for this there, else of room npu."""

    def __init__(self, ollama: EmbeddingServer, npu: Embeddings) -> None:
        self._ollama = ollama
        self._npu = npu

    async def embed(self, request: EmbeddingRequest) -> Vectors:
        """Ask the server when it `embeds` the model, else room npu by the name without its tag."""
        if await self._ollama.embeds(request.model):
            return await self._ollama.embed(request)
        return await self._npu.embed(replace(request, model=untagged(request.model)))
