"""What every embedding model must do, and what stands between it and its callers."""

import asyncio
import math

import pytest

from autobot.errors import BadRequest, ContextLengthExceeded, ModelNotFound, TooLarge
from deployments.npu.batching.batcher import Vector
from deployments.npu.embeddings.schemas import MAX_TEXTS
from deployments.npu.embeddings.service import MAX_CHARS_PER_TEXT, Embedder
from tests.contract.npu.conftest import MODELS

TEXTS = [
    "A cat sleeps on the warm window sill.",
    "The kitten naps on the warm window sill.",
    "Interest rates rose again in October.",
    "Ünïcödé, 中文 and emoji 🙂 in one line",
    "word " * 100,
]


def cosine(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_vectors_have_length_one_and_the_dimensions_of_the_model(embedder: Embedder) -> None:
    embedded = await embedder.embed(TEXTS)
    facts = await embedder.facts()
    assert len(embedded.vectors) == len(TEXTS)
    for vector in embedded.vectors:
        assert len(vector) == facts["dimensions"][embedded.model]
        assert math.isclose(cosine(vector, vector), 1, abs_tol=1e-3)


async def test_a_text_has_the_same_vector_alone_and_in_a_list(embedder: Embedder) -> None:
    together = await embedder.embed(TEXTS)
    for text, vector in zip(TEXTS, together.vectors, strict=True):
        alone = await embedder.embed([text])
        assert cosine(alone.vectors[0], vector) > 0.9999


async def test_the_same_meaning_is_nearer_than_another(embedder: Embedder) -> None:
    cat, kitten, money, *_ = (await embedder.embed(TEXTS)).vectors
    assert cosine(cat, kitten) > cosine(cat, money) + 0.05


async def test_usage_counts_each_text_once_and_no_padding(embedder: Embedder) -> None:
    short = await embedder.embed(["one two"])
    long = await embedder.embed(["three " * 50])
    both = await embedder.embed(["one two", "three " * 50])
    assert short.tokens == 2 + 2
    assert long.tokens == 50 + 2
    assert both.tokens == short.tokens + long.tokens


@pytest.mark.parametrize("empty", ["", "   ", "\n\t", "\u200b"])
async def test_a_text_without_words_is_refused_by_its_place(embedder: Embedder, empty: str) -> None:
    with pytest.raises(BadRequest, match=r"input\[1\]"):
        await embedder.embed(["fine", empty])


async def test_a_text_as_long_as_the_model_reads_is_accepted(embedder: Embedder) -> None:
    longest = await longest_text(embedder)
    words = len(longest.split())
    assert (await embedder.embed([longest])).tokens == words + 2


async def test_a_longer_text_is_refused_with_both_numbers_never_cut(embedder: Embedder) -> None:
    longest = await longest_text(embedder)
    limit = len(longest.split()) + 2
    with pytest.raises(ContextLengthExceeded, match=rf"input\[1\].*{limit + 1}.*{limit}\b"):
        await embedder.embed(["fine", longest + " more"])


async def test_a_text_too_long_to_count_is_refused_with_both_numbers(embedder: Embedder) -> None:
    with pytest.raises(ContextLengthExceeded, match=f"1000000.*{MAX_CHARS_PER_TEXT}"):
        await embedder.embed(["x" * 1_000_000])


async def test_a_request_of_too_many_tokens_is_refused(embedder: Embedder) -> None:
    with pytest.raises(TooLarge, match="300000"):
        await embedder.embed(["word " * 200] * MAX_TEXTS)


async def test_an_unknown_model_is_refused(embedder: Embedder) -> None:
    with pytest.raises(ModelNotFound, match="text-embedding-3-small"):
        await embedder.embed(["hello"], "text-embedding-3-small")


async def test_default_says_which_model_it_is(embedder: Embedder) -> None:
    default = await embedder.embed(TEXTS[:1])
    named = await embedder.embed(TEXTS[:1], MODELS[0])
    assert default.model == MODELS[0]
    assert cosine(default.vectors[0], named.vectors[0]) > 0.9999


async def test_models_never_answer_for_each_other(embedder: Embedder) -> None:
    one, other = await asyncio.gather(*(embedder.embed(TEXTS[:1], name) for name in MODELS))
    assert (one.model, other.model) == MODELS
    assert cosine(one.vectors[0], other.vectors[0]) < 0.9


async def test_other_dimensions_are_refused_not_cut(embedder: Embedder) -> None:
    native = len((await embedder.embed(TEXTS[:1])).vectors[0])
    assert len((await embedder.embed(TEXTS[:1], dimensions=native)).vectors[0]) == native
    with pytest.raises(BadRequest, match=f"{native}.*{native - 1}"):
        await embedder.embed(TEXTS[:1], dimensions=native - 1)


async def test_many_callers_at_once_each_get_their_own(embedder: Embedder) -> None:
    texts = [f"{word} number {word}{n}" for n in range(24) for word in ("apple", "river")]
    alone = [(await embedder.embed([text])).vectors[0] for text in texts]
    answers = await asyncio.gather(*(embedder.embed([text]) for text in texts))
    for mine, answer in zip(alone, answers, strict=True):
        assert cosine(mine, answer.vectors[0]) > 0.9999


async def test_answers_and_facts_name_the_same_device(embedder: Embedder) -> None:
    embedded = await embedder.embed(TEXTS[:1])
    facts = await embedder.facts()
    assert embedded.device
    assert embedded.device == facts["device"]
    assert set(MODELS) <= set(facts["models"])
    assert facts["default_model"] == MODELS[0]


async def longest_text(embedder: Embedder) -> str:
    """As many one-token words as the default model reads."""
    facts = await embedder.facts()
    return " ".join(["word"] * (facts["max_tokens"][facts["default_model"]] - 2))
