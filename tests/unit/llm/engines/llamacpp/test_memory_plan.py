"""Context and slots from a model's own figures and free memory."""

import struct
from pathlib import Path

import pytest

from autobot.errors import Unavailable
from deployments.llm.engines.llamacpp.memory_plan import (
    MIB,
    RESERVE_BYTES,
    WORKING_BYTES,
    plan_load,
)
from deployments.llm.models.gguf import BadModelFile, read_header


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def write_gguf(path: Path, values: dict[str, int | str | list[int]], weights: int = 0) -> Path:
    """A file with this header and `weights` bytes of nothing."""
    body = b""
    for key, value in values.items():
        body += _text(key)
        if isinstance(value, str):
            body += struct.pack("<I", 8) + _text(value)
        elif isinstance(value, list):
            body += struct.pack("<IIQ", 9, 4, len(value))
            body += b"".join(struct.pack("<I", one) for one in value)
        else:
            body += struct.pack("<II", 4, value)
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, len(values)) + body)
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + weights)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    # 24 layers, 2 heads of 64 for keys and values: 24 * 2 * 128 * 2 bytes = 12 KiB each token.
    values: dict[str, int | str | list[int]] = {
        "general.architecture": "toy",
        "general.languages": [1, 2, 3],
        "toy.block_count": 24,
        "toy.context_length": 32768,
        "toy.embedding_length": 896,
        "toy.attention.head_count": 14,
        "toy.attention.head_count_kv": 2,
        "tokenizer.ggml.model": "never read",
    }
    return write_gguf(tmp_path / "toy.gguf", values, weights=100 * MIB)


def test_header_gives_trained_context_and_cache_size(model: Path) -> None:
    header = read_header(model)
    assert header.context == 32768
    assert header.cache_bytes_per_token == 24 * 2 * (64 + 64) * 2


def test_heads_that_differ_by_layer_are_added_up(tmp_path: Path) -> None:
    values: dict[str, int | str | list[int]] = {
        "general.architecture": "toy",
        "toy.block_count": 3,
        "toy.context_length": 100,
        "toy.embedding_length": 64,
        "toy.attention.head_count": 4,
        "toy.attention.head_count_kv": [4, 0, 2],
        "toy.attention.key_length": 8,
        "toy.attention.value_length": 16,
    }
    header = read_header(write_gguf(tmp_path / "toy.gguf", values))
    assert header.cache_bytes_per_token == 6 * 24 * 2


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\3\4" + bytes(200), b"GGUF" + b"\xff" * 200])
def test_file_that_is_no_gguf_is_named_in_the_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(BadModelFile, match=r"broken\.gguf"):
        read_header(path)


def test_plenty_of_memory_gives_four_chats_of_8192_tokens(model: Path) -> None:
    plan = plan_load(model, available_bytes=16 << 30)
    assert (plan.slots, plan.context) == (4, 8192)
    cache = 4 * 8192 * 12288
    assert plan.memory_bytes == int(model.stat().st_size * 1.65) + WORKING_BYTES + cache


def test_little_memory_costs_slots_first_and_context_last(model: Path) -> None:
    base = int(model.stat().st_size * 1.65) + WORKING_BYTES + RESERVE_BYTES
    chat = 8192 * 12288
    assert [
        (plan.slots, plan.context)
        for room in (4 * chat, 4 * chat - 1, 2 * chat - 1, chat - 1, chat // 4)
        for plan in [plan_load(model, base + room)]
    ] == [(4, 8192), (2, 8192), (1, 8192), (1, 4096), (1, 2048)]
    with pytest.raises(Unavailable, match=r"toy\.gguf needs \d+ MiB and \d+ MiB are free"):
        plan_load(model, base + chat // 4 - 1)


def test_model_trained_for_less_is_given_no_more(model: Path) -> None:
    assert plan_load(model, 16 << 30, longest=512).context == 512
