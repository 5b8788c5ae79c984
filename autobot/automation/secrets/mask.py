"""Takes secrets out of what is written down."""

import json
import traceback
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ahocorasick_rs import BytesAhoCorasick
from pydantic import JsonValue

from autobot.automation.secrets.forms import forms
from autobot.errors import AutoBotError

MASKED = "***"
ANCHOR = 64
"""Bytes at the beginning of a form that are looked for; the rest is compared where they are. A form
may have 400,000 bytes, and a search machine of all would fill the memory."""
WINDOW = 1 << 17
"""Bytes that are searched at a time: the matches of one search are a list."""
COMPARED = 64
"""Bytes that may be compared for each one searched, and 1 MiB more. A text that takes more, which
repeats the beginning of a long secret over and over, is masked whole."""


class Finder:
    """Where any of ``needles`` is; takes time in proportion to the text, however many they are."""

    def __init__(self, needles: Collection[bytes]) -> None:
        self._by_anchor: dict[bytes, list[bytes]] = {}
        for needle in sorted(needles):
            self._by_anchor.setdefault(needle[:ANCHOR], []).append(needle)
        self._anchors = list(self._by_anchor)
        self._automaton = BytesAhoCorasick(self._anchors)

    def is_in(self, body: bytes) -> bool:
        """Whether the beginning of a needle is in it."""
        return any(True for _ in self._matches(body))

    def spans(self, body: bytes) -> list[tuple[int, int]]:
        """Return the parts that needles cover, in order; none touches the next."""
        spans: list[tuple[int, int]] = []
        left = COMPARED * len(body) + (1 << 20)
        for anchor, start in self._matches(body):
            for needle in self._by_anchor[anchor]:
                if len(needle) > len(body) - start:
                    continue
                left -= len(needle)
                if left < 0:
                    return [(0, len(body))]
                if body.startswith(needle, start):
                    _cover(spans, start, start + len(needle))
        return spans

    def _matches(self, body: bytes) -> Iterator[tuple[bytes, int]]:
        """Every anchor with its place; those that begin earlier come earlier, roughly."""
        view = memoryview(body)
        for window in range(0, len(body), WINDOW):
            part = view[window : window + WINDOW + ANCHOR - 1]
            for number, start, _ in self._automaton.find_matches_as_indexes(part, True):
                if start < WINDOW:
                    yield self._anchors[number], window + start


def _cover(spans: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a part, one with those that it overlaps or touches."""
    while spans and spans[-1][1] >= start:
        before = spans.pop()
        start, end = min(start, before[0]), max(end, before[1])
    spans.append((start, end))


class Mask:
    """Replaces every form of ``values`` by ``***``, in texts, keys and numbers."""

    def __init__(self, values: Collection[str] = ()) -> None:
        needles = {form for value in values for form in forms(value)}
        self._texts = Finder({_bytes(form) for form in needles}) if needles else None
        escaped = {json.dumps(form)[1:-1].encode() for form in needles}
        self._bodies = Finder(escaped) if needles else None
        self._numbers = any(_may_be_a_number(form) for form in needles)

    def finds(self, body: bytes) -> bool:
        """Whether JSON in ASCII may hold something to mask: it mostly does not."""
        return self._bodies is not None and self._bodies.is_in(body)

    def text(self, text: str) -> str:
        """Return the text with ``***`` in place of what is secret."""
        if self._texts is None or not text:
            return text
        body = _bytes(text)
        spans = self._texts.spans(body)
        if not spans:
            return text
        ends = [0, *(end for _, end in spans)]
        starts = [*(start for start, _ in spans), len(body)]
        parts = [body[end:start] for end, start in zip(ends, starts, strict=True)]
        return MASKED.encode().join(parts).decode("utf-8", "surrogatepass")

    def __call__(self, value: Any) -> Any:
        """Return a JSON value with every text in it masked; a number that is secret is a text."""
        return value if self._texts is None else self._masked(value)

    def _masked(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self._masked(of) for key, of in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(of) for of in value]
        if self._numbers and isinstance(value, int | float) and not isinstance(value, bool):
            written = json.dumps(value)
            masked = self.text(written)
            return value if masked == written else masked
        return value

    def error(self, error: Exception) -> Exception:
        """Return the error without secrets, also in its traceback; it is another one where they
        stand in what cannot be changed."""
        error.args = tuple(map(self, error.args))
        error.__cause__ = error.__context__ = None
        if self.trace(error) == NOTHING.trace(error):
            return error
        return AutoBotError(f"{type(error).__name__}: {self.text(str(error))}")

    def trace(self, error: BaseException) -> str:
        """Return an exception's traceback, for the log."""
        return self.text("".join(traceback.format_exception(error)).rstrip())


NOTHING = Mask()
"""Masks nothing."""


def _bytes(text: str) -> bytes:
    """Half of a surrogate pair has bytes too."""
    return text.encode("utf-8", "surrogatepass")


def _may_be_a_number(form: str) -> bool:
    return set(form) <= set("0123456789.eE+-")
