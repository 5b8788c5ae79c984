"""Embeddings for many callers: limits, batching, and vectors that always say whose they are."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from autobot.concurrency import ConcurrencyLimiter
from autobot.contracts.embeddings import EmbeddingRequest, Vectors
from autobot.errors import BadRequest, ContextLengthExceeded, TooLarge
from deployments.npu.batching.batcher import Batcher, Tokens, Vector
from deployments.npu.batching.on_demand import OnDemand

MAX_CHARS_PER_TEXT = 1 << 16
"""Counting tokens costs about half a microsecond a character, so even counting has a limit."""
MAX_CHARS = 4 << 20
"""Of a whole request; 300,000 tokens of any language are fewer."""
MAX_TOKENS_PER_REQUEST = 300_000
MAX_COUNTING = 1024
"""Requests whose tokens are to be counted: one at a time, on all cores, and keys take turns."""


class EmbeddingModel(Protocol):
    """One model on one device. Every method blocks; `embed` is called from one thread at a time."""

    @property
    def name(self) -> str:
        """The real name, which answers give: never ``default``."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers in each vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest text the model was made for, special tokens included."""
        ...

    @property
    def precision(self) -> str:
        """What the engine computes in, for example ``bf16``."""
        ...

    def device(self) -> str:
        """The device the engine says it runs on, for example ``CPU``."""
        ...

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids with special tokens, never cut; [] for a text without words."""
        ...

    def embed(self, batch: Sequence[Tokens]) -> list[Vector]:
        """Return one unit-length float32 vector of ``dimensions`` for each text."""
        ...


class EmbeddingModels(Protocol):
    """Where models come from."""

    def installed(self) -> list[str]:
        """Names of the embedding models that can be loaded."""
        ...

    def resolve(self, name: str) -> str:
        """Return the real name behind ``name`` (``default``); raise `ModelNotFound`."""
        ...

    def load(self, name: str) -> EmbeddingModel:
        """Load a model and warm it up. Blocks for a second or so."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what health says of the engine and its device. Loads nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors in the order of the texts. ``tokens`` counts what the model read, padding not."""

    vectors: list[Vector]
    model: str
    device: str
    tokens: int
    cut: int = 0
    """How many texts were too long and were cut at their end."""


class _Loaded:
    def __init__(self, model: EmbeddingModel) -> None:
        self.model = model
        # One thread: two inferences at once would share the same cores and help nobody.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"embed-{model.name}")
        self.batcher = Batcher[Tokens, Vector](self._run)

    async def _run(self, batch: list[Tokens]) -> list[Vector]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.model.embed, batch)


class Embedder:
    """Every installed embedding model behind one door; models load at first use and stay."""

    def __init__(self, models: EmbeddingModels) -> None:
        self._models = models
        self._loaded = OnDemand(lambda name: _Loaded(models.load(name)))
        self._counting = ConcurrencyLimiter(1, MAX_COUNTING, what="requests to be read")

    async def embed(
        self,
        texts: Sequence[str],
        model: str = "default",
        dimensions: int | None = None,
        *,
        cut: bool = False,
        key: str = "",
    ) -> Embedded:
        """Embed ``texts`` (at least one); with ``cut`` only the beginning of those too long.
        ``key``: whose turn it takes.

        Raises `ModelNotFound`, `BadRequest` for a text without words or ``dimensions`` other than
        the model's, `ContextLengthExceeded`, `TooLarge`, and `Busy` when the queue is full.
        """
        loaded = await self._loaded.get(self._models.resolve(model))
        _check_dimensions(dimensions, loaded.model)
        long = {i for i, text in enumerate(texts) if len(text) > MAX_CHARS_PER_TEXT}
        if cut:
            texts = [text[:MAX_CHARS_PER_TEXT] for text in texts]
        _check_chars(texts)
        async with self._counting.slot(key):
            tokens = await asyncio.to_thread(loaded.model.tokenise, texts)
        if cut:
            most = loaded.model.max_tokens
            long |= {i for i, ids in enumerate(tokens) if len(ids) > most}
            tokens = [_beginning(ids, most) for ids in tokens]
        _check_tokens(tokens, loaded.model)
        vectors = await loaded.batcher.submit(tokens, key)
        read = sum(map(len, tokens))
        return Embedded(vectors, loaded.model.name, loaded.model.device(), read, len(long))

    def preload(self) -> None:
        """Load the default model, so that no caller waits. Blocks; raises `ModelNotFound`."""
        self._loaded.preload(self._models.resolve("default"))

    async def facts(self) -> dict[str, Any]:
        """Raises `ModelNotFound` while the model called `default` is not on this machine."""
        default = (await self._loaded.get(self._models.resolve("default"))).model
        loaded = [entry.model for entry in self._loaded.all()]
        return {
            "device": ",".join(dict.fromkeys(model.device() for model in loaded)),
            "models": self._models.installed(),
            "default_model": default.name,
            "dimensions": {model.name: model.dimensions for model in loaded},
            "max_tokens": {model.name: model.max_tokens for model in loaded},
            "precision": {model.name: model.precision for model in loaded},
            "queued": sum(entry.batcher.queued for entry in self._loaded.all()),
            **self._models.facts(),
        }


def _check_dimensions(asked: int | None, model: EmbeddingModel) -> None:
    if asked not in (None, model.dimensions):
        raise BadRequest(
            f"{model.name} makes vectors of {model.dimensions} dimensions, not {asked}; cutting "
            "them short would spoil them."
        ).of("dimensions")


def _beginning(ids: list[int], most: int) -> list[int]:
    """As many tokens as the model reads; the last one of all, which ends every text, stays."""
    return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


def _check_chars(texts: Sequence[str]) -> None:
    for index, text in enumerate(texts):
        if len(text) > MAX_CHARS_PER_TEXT:
            raise ContextLengthExceeded(
                f"input[{index}] has {len(text)} characters; at most {MAX_CHARS_PER_TEXT} are read."
            ).of("input")
    if (total := sum(map(len, texts))) > MAX_CHARS:
        told = f"The request has {total} characters; at most {MAX_CHARS} are read."
        raise TooLarge(told).of("input")


def _check_tokens(tokens: Sequence[Tokens], model: EmbeddingModel) -> None:
    for index, ids in enumerate(tokens):
        if not ids:
            raise BadRequest(f"input[{index}] has no words: there is nothing to embed.").of("input")
        if len(ids) > model.max_tokens:
            raise ContextLengthExceeded(
                f"input[{index}] has {len(ids)} tokens; {model.name} reads at most "
                f"{model.max_tokens}. Split the text: it is never cut silently."
            ).of("input")
    total = sum(map(len, tokens))
    if total > MAX_TOKENS_PER_REQUEST:
        raise TooLarge(
            f"The request has {total} tokens; at most {MAX_TOKENS_PER_REQUEST} fit in one."
        ).of("input")


class EmbeddingsForRooms:
    """`Embeddings`: what other rooms are given, in the order of the key they were asked with."""

    def __init__(self, embedder: Embedder, engine: str) -> None:
        self._embedder = embedder
        self._engine = engine

    async def embed(self, request: EmbeddingRequest) -> Vectors:
        """Embed as `Embedder.embed`. Vectors are lists of floats, which other rooms can read."""
        made = await self._embedder.embed(
            request.texts,
            request.model,
            request.dimensions,
            cut=request.cut,
            key=request.caller,
        )
        vectors = [vector.tolist() for vector in made.vectors]
        return Vectors(made.model, vectors, made.tokens, self._engine, made.device, made.cut)
