"""A text that is too long: refused, or cut where its caller allows that."""

import pytest

from autobot.errors import ContextLengthExceeded
from deployments.npu.embedding import MAX_CHARS_PER_TEXT, Embedder
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
