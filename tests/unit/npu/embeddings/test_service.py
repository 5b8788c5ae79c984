"""A text that is too long: refused, or cut where its caller allows that; and whose turn it is."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from autobot.contracts.embeddings import EmbeddingRequest
from autobot.errors import ContextLengthExceeded, TooLarge
from deployments.npu.embeddings.service import (
    MAX_CHARS,
    MAX_CHARS_PER_TEXT,
    Embedded,
    Embedder,
    EmbeddingsForRooms,
)
from deployments.npu.fake import FakeEmbeddingModel, FakeModels

TEXTS = ["short", "word " * 10_000, "w" * (MAX_CHARS_PER_TEXT + 1)]


async def test_long_texts_are_cut_only_when_allowed_and_are_counted() -> None:
    embedder = Embedder(FakeModels(FakeEmbeddingModel("fake")))
    for text in TEXTS[1:]:
        with pytest.raises(ContextLengthExceeded):
            await embedder.embed([text])
    made = await embedder.embed(TEXTS, cut=True)
    assert len(made.vectors) == 3
    assert made.cut == 2
    whole = await embedder.embed(TEXTS[:1], cut=True)
    assert whole.cut == 0
    assert whole.vectors[0].tolist() == made.vectors[0].tolist()


async def test_texts_of_another_room_take_the_turn_of_the_key_it_was_asked_with() -> None:
    turns: list[str] = []

    class Recorded(Embedder):
        async def embed(self, *asked: Any, key: str = "", **options: Any) -> Embedded:
            turns.append(key)
            return await super().embed(*asked, key=key, **options)

    rooms = EmbeddingsForRooms(Recorded(FakeModels(FakeEmbeddingModel("fake"))), "an engine")
    made = await rooms.embed(EmbeddingRequest("fake", ["hello"], caller="key1"))
    assert (turns, made.engine, len(made.vectors)) == (["key1"], "an engine", 1)
    assert isinstance(made.vectors[0][0], float)


async def test_a_request_of_very_many_characters_is_refused_before_they_are_counted() -> None:
    embedder = Embedder(FakeModels(FakeEmbeddingModel("fake")))
    texts = ["w" * MAX_CHARS_PER_TEXT] * (MAX_CHARS // MAX_CHARS_PER_TEXT + 1)
    for cut in (False, True):
        with pytest.raises(TooLarge, match="characters"):
            await embedder.embed(texts, cut=cut)


async def test_keys_take_turns_at_having_their_tokens_counted() -> None:
    go_on, counted = threading.Event(), list[str]()

    class Slow(FakeEmbeddingModel):
        def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
            go_on.wait(20)
            counted.append(texts[0])
            return super().tokenise(texts)

    embedder = Embedder(FakeModels(Slow("fake")))
    asked = [("many", f"text {n}") for n in range(20)] + [("other", "mine")]
    work = [asyncio.ensure_future(embedder.embed([text], key=key)) for key, text in asked]
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.gather(*work)
    assert counted.index("mine") <= 2
