"""Engines under one contract, real and fake, and room npu's HTTP side around either."""

import io
from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from PIL import Image, ImageDraw, ImageFont

from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.settings import Settings
from autobot.web.app import create_app
from deployments.npu.embeddings.api import embedding_routes
from deployments.npu.embeddings.driver import OpenVinoEmbeddingModels
from deployments.npu.embeddings.service import Embedder, EmbeddingModels
from deployments.npu.fake import (
    FakeEmbeddingModel,
    FakeModels,
    FakeOcr,
    FakeRerankModel,
    FakeSpeechModel,
)
from deployments.npu.ocr.api import ocr_routes
from deployments.npu.ocr.driver import RapidOcrEngine
from deployments.npu.ocr.pictures import Pictures
from deployments.npu.ocr.service import OcrEngine, Reader
from deployments.npu.openvino.driver import Device
from deployments.npu.rerank.driver import OpenVinoRerankModels
from deployments.npu.rerank.service import Reranker, RerankModels
from deployments.npu.speech.driver import OpenVinoSpeechModels
from deployments.npu.speech.recordings import Recordings
from deployments.npu.speech.service import SpeechModels, Transcriber
from tests import parts

MODELS = parts.EMBEDDINGS
SPEECH_MODEL = parts.SPEECH
WRITTEN = ("Invoice 2041: AutoBot", "Total due 97.35 EUR")
KEY, NPU_KEY = make_key(NewKey(name="tests", scopes=("npu",)))
READ_ONLY, READ_ONLY_KEY = make_key(NewKey(name="reader", scopes=("read",)))


Model = TypeVar("Model", covariant=True)


class Models(Protocol[Model]):
    def installed(self) -> list[str]: ...
    def resolve(self, name: str) -> str: ...
    def load(self, name: str) -> Model: ...
    def facts(self) -> dict[str, Any]: ...


class LoadedOnce(Generic[Model]):
    """Lets tests share models: loading one takes about a second."""

    def __init__(self, models: Models[Model]) -> None:
        self._models = models
        self._loaded: dict[str, Model] = {}
        self.installed = models.installed
        self.resolve = models.resolve
        self.facts = models.facts

    def load(self, name: str) -> Model:
        if name not in self._loaded:
            self._loaded[name] = self._models.load(name)
        return self._loaded[name]


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(default_embedding_model=MODELS[0], npu_device="AUTO:NPU,CPU")


@pytest.fixture(scope="session")
def device(settings: Settings) -> Device:
    return Device(settings)


@pytest.fixture(scope="session")
def real_models(settings: Settings, device: Device) -> EmbeddingModels:
    for name in MODELS:
        parts.path(name)
    return LoadedOnce(OpenVinoEmbeddingModels(settings, device))


@pytest.fixture(scope="session", params=["fake", "openvino"])
def models(request: pytest.FixtureRequest) -> EmbeddingModels:
    if request.param == "openvino":
        return request.getfixturevalue("real_models")
    return FakeModels(*(FakeEmbeddingModel(name) for name in MODELS))


@pytest.fixture
def embedder(models: EmbeddingModels) -> Embedder:
    return Embedder(models)


@pytest.fixture(scope="session")
def real_rerankers(settings: Settings, device: Device, real_models: object) -> RerankModels:
    return LoadedOnce(OpenVinoRerankModels(settings, device))


@pytest.fixture(scope="session", params=["fake", "openvino"])
def rerankers(request: pytest.FixtureRequest) -> RerankModels:
    if request.param == "openvino":
        return request.getfixturevalue("real_rerankers")
    return FakeModels(*(FakeRerankModel(name) for name in reversed(MODELS)))


@pytest.fixture
def reranker(rerankers: RerankModels) -> Reranker:
    return Reranker(rerankers)


@pytest.fixture(scope="session")
def real_speech(settings: Settings, device: Device) -> SpeechModels:
    parts.path(SPEECH_MODEL)
    return LoadedOnce(OpenVinoSpeechModels(settings, device))


@pytest.fixture(scope="session", params=["fake", "openvino"])
def speech(request: pytest.FixtureRequest) -> SpeechModels:
    if request.param == "openvino":
        return request.getfixturevalue("real_speech")
    return FakeModels(FakeSpeechModel(SPEECH_MODEL))


@pytest.fixture
def transcriber(speech: SpeechModels) -> Transcriber:
    return Transcriber(speech, Recordings())


@pytest.fixture(scope="session")
def real_ocr(device: Device) -> OcrEngine:
    return RapidOcrEngine(device, Pictures())


@pytest.fixture(scope="session", params=["fake", "openvino"])
def ocr(request: pytest.FixtureRequest) -> OcrEngine:
    if request.param == "openvino":
        return request.getfixturevalue("real_ocr")
    return FakeOcr(WRITTEN, Pictures())


async def app_of(*routers: APIRouter) -> FastAPI:
    """The room's HTTP side around ``routers``, with two known keys."""

    async def known_keys() -> Sequence[KeyRecord]:
        return [NPU_KEY, READ_ONLY_KEY]

    keys = KeyRing(known_keys)
    await keys.refresh()
    return create_app("npu", routers, keys)


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client with a key that may use the room."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(
        transport=transport, base_url="http://npu", headers=headers, timeout=60
    )


@pytest.fixture
async def app(embedder: Embedder, ocr: OcrEngine) -> FastAPI:
    """The room's first two applications as one."""
    return await app_of(
        embedding_routes(embedder, "an engine"), ocr_routes(Reader(ocr), "an engine")
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


def draw(
    lines: Sequence[str] = WRITTEN,
    size: tuple[int, int] = (900, 300),
    font_size: int | None = None,
) -> Image.Image:
    """Black text on white: the lines evenly spread from top to bottom, 40 pixels from the left."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=font_size or size[1] // 8)
    for row, line in enumerate(lines):
        y = size[1] * (row + 0.5) / max(1, len(lines))
        pen.text((40, y), line, font=font, fill="black", anchor="lm")
    return image


def as_file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
