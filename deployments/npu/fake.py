"""Engines without OpenVINO, for tests of what is around them; the contract suite checks them."""

import re
from array import array
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np

from autobot.errors import ModelNotFound
from deployments.npu.batcher import Tokens, Vector
from deployments.npu.driver_image import decode
from deployments.npu.ocr import Line, Page

FIRST, LAST = 1, 2
"""Stand for the special tokens around a text."""


def _visible(character: str) -> bool:
    return character.isprintable() or character.isspace()


class FakeEmbeddingModel:
    """Hashes words into a few dimensions: texts that share words have similar vectors."""

    def __init__(self, name: str, dimensions: int = 64, max_tokens: int = 256) -> None:
        self.name = name
        self.dimensions = dimensions
        self.max_tokens = max_tokens

    def device(self) -> str:
        return "FAKE"

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        visible = ("".join(filter(_visible, text)).lower() for text in texts)
        words = (re.findall(r"\w+|[^\w\s]", text) for text in visible)
        return [[FIRST, *(crc32(w.encode()) for w in row), LAST] if row else [] for row in words]

    def embed(self, batch: Sequence[Tokens]) -> list[Vector]:
        return [self._vector(tokens) for tokens in batch]

    def _vector(self, tokens: Tokens) -> Vector:
        values = [0.0] * self.dimensions
        for token in tokens:
            values[crc32(f"{self.name} {token}".encode()) % self.dimensions] += 1.0
        length = sum(value * value for value in values) ** 0.5
        return array("f", [value / length for value in values])


class FakeEmbeddingModels:
    """Models by name; the first is the default."""

    def __init__(self, *models: FakeEmbeddingModel) -> None:
        self._models = {model.name: model for model in models}

    def installed(self) -> list[str]:
        return list(self._models)

    def resolve(self, name: str) -> str:
        if name == "default":
            return next(iter(self._models))
        if name not in self._models:
            raise ModelNotFound(
                f"There is no model {name!r}; there are: {', '.join(self._models)}."
            )
        return name

    def load(self, name: str) -> FakeEmbeddingModel:
        return self._models[name]

    def facts(self) -> dict[str, Any]:
        return {"engine": "fake"}


class FakeOcr:
    """Finds rows of ink on white paper and says of each, in turn, what it was told to say."""

    model = "fake-ocr"

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def device(self) -> str:
        return "FAKE"

    def facts(self) -> dict[str, Any]:
        return {"engine": "fake"}

    def read(self, image: bytes) -> Page:
        picture = decode(image)
        ink = picture.pixels.min(axis=2) < 128
        bounds = np.flatnonzero(np.diff(ink.any(axis=1).astype(np.int8), prepend=0, append=0))
        lines: list[Line] = []
        for text, top, bottom in zip(self._texts, bounds[::2], bounds[1::2], strict=False):
            columns = np.flatnonzero(ink[top:bottom].any(axis=0))
            left, right = float(columns[0]), float(columns[-1] + 1)
            corners = ((left, top), (right, top), (right, bottom), (left, bottom))
            scaled = [(x * picture.scale, float(y) * picture.scale) for x, y in corners]
            lines.append(Line(text, 1.0, (scaled[0], scaled[1], scaled[2], scaled[3])))
        return Page(lines, picture.width, picture.height)
