"""The few numbers of a GGUF file's header that decide how much memory a chat needs.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autobot.errors import AutoBotError

SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
STRING, ARRAY = 8, 9
LONGEST_STRING = 1 << 24
F16_BYTES = 2

Scalar = int | float | bool
Value = Scalar | str | list["Value"]


class BadModelFile(AutoBotError):
    """The model file is not a readable GGUF file."""


@dataclass(frozen=True, slots=True)
class Header:
    """`context` is the length the model was trained for, in tokens; the cache is f16."""

    context: int
    cache_bytes_per_token: int


def read_header(path: Path) -> Header:
    """Read the model's own figures; raise `BadModelFile` when it is no GGUF file or lacks them."""
    try:
        with path.open("rb") as file:
            values = _model_values(file)
        arch = str(values["general.architecture"])
        layers = _number(values[f"{arch}.block_count"])
        heads = _number(values[f"{arch}.attention.head_count"])
        width = _number(values[f"{arch}.embedding_length"]) // heads
        key = _number(values.get(f"{arch}.attention.key_length", width))
        value = _number(values.get(f"{arch}.attention.value_length", width))
        kv_heads = values.get(f"{arch}.attention.head_count_kv", heads)
        cached = sum(map(_number, kv_heads)) if isinstance(kv_heads, list) else 0
        cached = cached or layers * _number(kv_heads)
        context = _number(values[f"{arch}.context_length"])
    except (OSError, struct.error, KeyError, ValueError, ZeroDivisionError) as error:
        raise BadModelFile(f"{path.name} is not a readable GGUF file: {error!r}") from error
    return Header(context, cached * (key + value) * F16_BYTES)


def _number(value: Value) -> int:
    if isinstance(value, int):
        return value
    raise ValueError(f"expected a whole number, found {value!r}")


def _model_values(file: BinaryIO) -> dict[str, Value]:
    """The key-value pairs before the tokenizer's, whose vocabulary is long and not needed."""
    magic, _version, _tensors, count = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF":
        raise ValueError(f"begins with {magic!r}")
    values: dict[str, Value] = {}
    for _ in range(count):
        key = _string(file)
        if key.startswith("tokenizer."):
            break
        (kind,) = struct.unpack("<I", file.read(4))
        values[key] = _value(file, kind)
    return values


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > LONGEST_STRING:
        raise ValueError(f"a string of {length} bytes")
    return file.read(length).decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int) -> Value:
    if kind == STRING:
        return _string(file)
    if kind == ARRAY:
        inner, length = struct.unpack("<IQ", file.read(12))
        return [_value(file, inner) for _ in range(min(length, LONGEST_STRING))]
    code = f"<{SCALARS[kind]}"
    (value,) = struct.unpack(code, file.read(struct.calcsize(code)))
    return value
