"""A text that is too long: refused, or cut where its caller allows that; and whose turn it is."""

from typing import Any

import pytest

from autobot.errors import ContextLengthExceeded
from deployments.npu.app import Npu
from deployments.npu.embedding import MAX_CHARS_PER_TEXT, Embedded, Embedder
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

    kind: Any = Npu.func_or_class
    room = object.__new__(kind)  # without the device and the models it starts with
    room.engine = "an engine"
    room.embedder = Recorded(FakeModels(FakeEmbeddingModel("fake")))
    made = await room.embed_texts("fake", ["hello"], None, False, "key1")
    assert (turns, len(made["vectors"])) == (["key1"], 1)
