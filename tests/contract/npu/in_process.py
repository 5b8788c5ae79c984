"""The whole room in one process, with models that are fakes."""

from fastapi import FastAPI

from deployments.npu.decoder import Pictures, Recordings
from deployments.npu.embedding import Embedder
from deployments.npu.fake import (
    FakeEmbeddingModel,
    FakeInferenceModel,
    FakeModels,
    FakeOcr,
    FakeRerankModel,
    FakeSpeechModel,
)
from deployments.npu.kserve import Inference
from deployments.npu.ocr import Reader
from deployments.npu.rerank import Reranker
from deployments.npu.routes import embedding_routes
from deployments.npu.routes_kserve import kserve_routes
from deployments.npu.routes_ocr import ocr_routes
from deployments.npu.routes_rerank import rerank_routes
from deployments.npu.routes_speech import speech_routes
from deployments.npu.speech import Transcriber
from tests.contract.npu.conftest import WRITTEN, app_of


async def room() -> FastAPI:
    """The room's five applications as one; the model for inference is called `a`."""
    return await app_of(
        embedding_routes(Embedder(FakeModels(FakeEmbeddingModel("fake"))), "fake"),
        rerank_routes(Reranker(FakeModels(FakeRerankModel("fake"))), "fake"),
        ocr_routes(Reader(FakeOcr(WRITTEN, Pictures())), "fake"),
        speech_routes(Transcriber(FakeModels(FakeSpeechModel("fake")), Recordings()), "fake"),
        kserve_routes(Inference(FakeModels(FakeInferenceModel("a"))), "fake"),
    )
