"""Engines without OpenVINO, for tests of what is around them; the contract suite checks them."""

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from zlib import crc32

import numpy as np

from autobot.errors import BadRequest, ModelNotFound
from deployments.npu.batching.batcher import Tokens, Vector
from deployments.npu.inference.service import Array, Port
from deployments.npu.ocr.pictures import Pictures
from deployments.npu.ocr.service import Line, Page
from deployments.npu.rerank.service import Passage
from deployments.npu.speech.service import RATE, Asked, Samples, Segment, Window
from deployments.npu.speech.whisper import WINDOW

FIRST, LAST = 1, 2
"""Stand for the special tokens around a text."""


def _visible(character: str) -> bool:
    return character.isprintable() or character.isspace()


class FakeEmbeddingModel:
    """Hashes words into a few dimensions: texts that share words have similar vectors."""

    precision = "f32"

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


class FakeRerankModel(FakeEmbeddingModel):
    """Scores a passage by how many of the query's words it has."""

    method = "shared words"

    def score(self, passages: Sequence[Passage]) -> list[float]:
        shared = ((set(p.query[1:-1]), set(p.document)) for p in passages)
        return [len(query & document) / len(query) for query, document in shared]


class Named(Protocol):
    @property
    def name(self) -> str: ...


Model = TypeVar("Model", bound=Named)


class FakeModels(Generic[Model]):
    """Models by name; the first is the default."""

    def __init__(self, *models: Model) -> None:
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

    def load(self, name: str) -> Model:
        return self._models[self.resolve(name)]

    def facts(self) -> dict[str, Any]:
        return {"engine": "fake"}


class FakeSpeechModel:
    """Says one word a window, and knows English and German."""

    def __init__(self, name: str, words: Sequence[str] = ("hello",)) -> None:
        self.name = name
        self._words = words

    def device(self) -> str:
        return "FAKE"

    def transcribe(self, samples: Samples, asked: Asked) -> Iterator[Window]:
        if asked.language not in (None, "en", "de"):
            raise BadRequest(f"{self.name} does not know the language {asked.language!r}.").of(
                "language"
            )
        return self._windows(samples, asked)

    def _windows(self, samples: Samples, asked: Asked) -> Iterator[Window]:
        for number, start in enumerate(range(0, len(samples), WINDOW)):
            end = min(start + WINDOW, len(samples))
            word = self._words[number % len(self._words)]
            times = (start / RATE, end / RATE)
            segment = Segment(*times, f" {word}", [number], asked.temperature, -0.1, 1.0, 0.0)
            heard = [segment] if np.any(samples[start:end]) else []
            yield Window(heard, asked.language or "en")


class FakeInferenceModel:
    """Adds its two inputs, as many numbers as there are."""

    platform = "fake"

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs = [Port("a", "FP32", [-1]), Port("b", "FP32", [-1])]
        self.outputs = [Port("sum", "FP32", [-1])]

    def device(self) -> str:
        return "FAKE"

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        if feed["a"].shape != feed["b"].shape:
            raise BadRequest(f"{self.name} cannot work on these inputs: their shapes differ.")
        with np.errstate(all="ignore"):
            return {"sum": feed["a"] + feed["b"]}


class FakeOcr:
    """Finds rows of ink on white paper and says of each, in turn, what it was told to say."""

    model = "fake-ocr"

    def __init__(self, texts: Sequence[str], pictures: Pictures) -> None:
        self._texts = texts
        self._pictures = pictures

    def device(self) -> str:
        return "FAKE"

    def facts(self) -> dict[str, Any]:
        return {"engine": "fake"}

    def read(self, image: bytes, page: int = 1) -> Page:
        picture = self._pictures.decode(image, page)
        ink = picture.pixels.min(axis=2) < 128
        bounds = np.flatnonzero(np.diff(ink.any(axis=1).astype(np.int8), prepend=0, append=0))
        lines: list[Line] = []
        for text, top, bottom in zip(self._texts, bounds[::2], bounds[1::2], strict=False):
            columns = np.flatnonzero(ink[top:bottom].any(axis=0))
            left, right = float(columns[0]), float(columns[-1] + 1)
            corners = ((left, top), (right, top), (right, bottom), (left, bottom))
            scaled = [(x * picture.scale, float(y) * picture.scale) for x, y in corners]
            lines.append(Line(text, 1.0, (scaled[0], scaled[1], scaled[2], scaled[3])))
        return Page(lines, picture.width, picture.height, picture.pages)
