"""Shapes of inferences: as they come, or one of a few that an NPU was compiled for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.npu.batching.buckets import Chunk, dynamic, shapes, static
from deployments.npu.openvino.device import choose


def test_without_buckets_a_batch_is_as_wide_as_its_longest_text() -> None:
    assert dynamic([3, 17, 5]) == [Chunk(0, 3, 3, 17)]


@pytest.mark.parametrize(
    ("lengths", "chunks"),
    [
        ([1], [Chunk(0, 1, 1, 32)]),
        ([33], [Chunk(0, 1, 1, 128)]),
        ([512], [Chunk(0, 1, 1, 512)]),
        ([5, 6], [Chunk(0, 2, 8, 32)]),
        ([5] * 9, [Chunk(0, 8, 8, 32), Chunk(8, 9, 1, 32)]),
        ([5] * 8 + [200] * 2, [Chunk(0, 8, 8, 32), Chunk(8, 10, 8, 512)]),
    ],
)
def test_the_smallest_bucket_that_holds_the_texts_is_taken(
    lengths: list[int], chunks: list[Chunk]
) -> None:
    assert static(lengths, 512) == chunks


def test_a_model_that_reads_less_has_its_own_longest_bucket() -> None:
    assert {tokens for _, tokens in shapes(256)} == {32, 128, 256}
    assert static([200], 256) == [Chunk(0, 1, 1, 256)]


@given(st.lists(st.integers(1, 512), min_size=1, max_size=64))
def test_every_text_is_in_one_chunk_of_a_known_shape(lengths: list[int]) -> None:
    chunks = static(lengths, 512)
    assert [c.start for c in chunks] == [0, *(c.stop for c in chunks[:-1])]
    assert chunks[-1].stop == len(lengths)
    for chunk in chunks:
        assert chunk.shape in shapes(512)
        assert chunk.stop - chunk.start <= chunk.rows
        assert max(lengths[chunk.start : chunk.stop]) <= chunk.tokens


@pytest.mark.parametrize(
    ("requested", "available", "uses"),
    [
        ("AUTO:NPU,CPU", ["CPU", "NPU"], True),
        ("AUTO:NPU,CPU", ["CPU"], False),
        ("NPU", ["CPU", "NPU"], True),
        ("AUTO", ["CPU", "NPU.0"], True),
        ("CPU", ["CPU", "NPU"], False),
    ],
)
def test_buckets_are_used_wherever_an_npu_may_run_the_model(
    requested: str, available: list[str], uses: bool
) -> None:
    assert choose(requested, available).uses("NPU") is uses
