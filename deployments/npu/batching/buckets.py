"""Shapes of inferences: as they come on a CPU, one of a few fixed ones on an NPU.

An NPU runs only graphs whose every size is known when they are compiled, which takes it seconds to
minutes each. A few sizes of each kind keep both that and the padding bearable.
"""

from collections.abc import Sequence
from dataclasses import dataclass

ROWS = (1, 8)
TOKENS = (32, 128, 512)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts ``start`` to ``stop`` of a batch, in an inference of ``rows`` x ``tokens``."""

    start: int
    stop: int
    rows: int
    tokens: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and tokens of the inference, padding included."""
        return self.rows, self.tokens


def dynamic(lengths: Sequence[int]) -> list[Chunk]:
    """All texts at once, padded to the longest."""
    return [Chunk(0, len(lengths), len(lengths), max(lengths))]


def static(lengths: Sequence[int], most_tokens: int) -> list[Chunk]:
    """Texts in order, in shapes of `shapes`: the last inference may have rows without a text."""
    chunks: list[Chunk] = []
    start, most_rows = 0, ROWS[-1]
    while start < len(lengths):
        stop = min(start + most_rows, len(lengths))
        rows = next(rows for rows in ROWS if rows >= stop - start)
        longest = max(lengths[start:stop])
        tokens = next(tokens for tokens in lengths_for(most_tokens) if tokens >= longest)
        chunks.append(Chunk(start, stop, rows, tokens))
        start = stop
    return chunks


def shapes(most_tokens: int) -> list[tuple[int, int]]:
    """Every shape `static` may ask for, for a model that reads ``most_tokens``."""
    return [(rows, tokens) for rows in ROWS for tokens in lengths_for(most_tokens)]


def lengths_for(most_tokens: int) -> list[int]:
    """Return the tokens a row may have, ascending. The last is the model's own limit."""
    return [*(tokens for tokens in TOKENS if tokens < most_tokens), most_tokens]
