"""Reranking for many callers: a query against documents, scored in batches across callers."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import BadRequest, ContextLengthExceeded, TooLarge
from deployments.npu.batching.batcher import Batcher, Tokens
from deployments.npu.batching.on_demand import OnDemand

MAX_DOCUMENTS = 1000
MAX_CHARS = 4 << 20
"""Of a whole request: counting tokens costs about half a microsecond a character."""
MAX_TOKENS = 300_000
MAX_COUNTING = 1024
"""Requests whose tokens are to be counted: one at a time, on all cores, and keys take turns."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A document, or the part of it that the model reads at once, beside its query."""

    query: Tokens
    document: Tokens

    def __len__(self) -> int:
        return len(self.document)


class RerankModel(Protocol):
    """One model on one device. Every method blocks; `score` is called from one thread at a time."""

    @property
    def name(self) -> str:
        """The real name, which answers give: never ``default``."""
        ...

    @property
    def method(self) -> str:
        """How scores come about, in words for the answer."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest query or passage, special tokens included."""
        ...

    def device(self) -> str:
        """The device the engine says it runs on, for example ``CPU``."""
        ...

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return ids between one special token and another, never cut; [] without words."""
        ...

    def score(self, passages: Sequence[Passage]) -> list[float]:
        """Return for each passage how well it answers its query: more is better, 1 the most."""
        ...


class RerankModels(Protocol):
    """Where models come from; as `EmbeddingModels`."""

    def installed(self) -> list[str]: ...

    def resolve(self, name: str) -> str: ...

    def load(self, name: str) -> RerankModel: ...

    def facts(self) -> dict[str, Any]:
        """Return what health says of the engine and its device. Loads nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Ranked:
    """(index of the document, score), best first. ``tokens``: of the query and all documents."""

    ranking: list[tuple[int, float]]
    model: str
    method: str
    device: str
    tokens: int


class _Loaded:
    def __init__(self, model: RerankModel) -> None:
        self.model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"rerank-{model.name}")
        self.batcher = Batcher[Passage, float](self._run, max_batch=16)

    async def _run(self, batch: list[Passage]) -> list[float]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.model.score, batch)


class Reranker:
    """Every installed model behind one door; models load at first use and stay."""

    def __init__(self, models: RerankModels) -> None:
        self._models = models
        self._loaded = OnDemand(lambda name: _Loaded(models.load(name)))
        self._counting = ConcurrencyLimiter(1, MAX_COUNTING, what="requests to be read")

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        model: str = "default",
        top: int | None = None,
        key: str = "",
    ) -> Ranked:
        """Return the ``top`` best of ``documents`` (all when None). ``key``: whose turn it takes.

        A document longer than the model reads is read in parts and is as good as its best part.
        Raises `ModelNotFound`, `BadRequest` for a text without words, `ContextLengthExceeded` for
        the query, `TooLarge`, and `Busy` when the queue is full.
        """
        loaded = await self._loaded.get(self._models.resolve(model))
        if (chars := len(query) + sum(map(len, documents))) > MAX_CHARS:
            raise TooLarge(f"The request has {chars} characters; at most {MAX_CHARS} are read.")
        async with self._counting.slot(key):
            asked, *tokens = await asyncio.to_thread(loaded.model.tokenise, [query, *documents])
        total = _check(asked, tokens, loaded.model)
        parts = [
            (index, Passage(asked, part))
            for index, document in enumerate(tokens)
            for part in split(document, loaded.model.max_tokens)
        ]
        scores = await loaded.batcher.submit([passage for _, passage in parts], key)
        ranking = best_first(zip((index for index, _ in parts), scores, strict=True))
        model_ = loaded.model
        return Ranked(ranking[:top], model_.name, model_.method, model_.device(), total)

    async def facts(self) -> dict[str, Any]:
        """Does not load a model: none is in memory until somebody reranks."""
        loaded = self._loaded.all()
        return {
            "device": ",".join(dict.fromkeys(entry.model.device() for entry in loaded)) or None,
            "models": self._models.installed(),
            "default_model": self._models.resolve("default"),
            "loaded": [entry.model.name for entry in loaded],
            "queued": sum(entry.batcher.queued for entry in loaded),
            **self._models.facts(),
        }


def split(tokens: Tokens, limit: int) -> list[list[int]]:
    """Cut between the special tokens, so that each part has both and at most ``limit`` in all."""
    body, size = tokens[1:-1], limit - 2
    return [
        [tokens[0], *body[start : start + size], tokens[-1]] for start in range(0, len(body), size)
    ]


def best_first(scores: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """A document's best part counts; equals keep the caller's order."""
    best: dict[int, float] = {}
    for index, score in scores:
        best[index] = max(score, best.get(index, score))
    return sorted(best.items(), key=lambda found: (-found[1], found[0]))


def _check(query: Tokens, documents: Sequence[Tokens], model: RerankModel) -> int:
    if not query:
        raise BadRequest("query has no words: there is nothing to look for.").of("query")
    for index, tokens in enumerate(documents):
        if not tokens:
            raise BadRequest(f"documents[{index}] has no words: there is nothing to rank.").of(
                "documents"
            )
    if len(query) > model.max_tokens:
        raise ContextLengthExceeded(
            f"query has {len(query)} tokens; {model.name} reads at most {model.max_tokens}."
        ).of("query")
    total = len(query) + sum(map(len, documents))
    if total > MAX_TOKENS:
        raise TooLarge(f"The request has {total} tokens; at most {MAX_TOKENS} fit in one.")
    return total
