"""The whole room in one process, with models that are fakes."""

from fastapi import FastAPI

from deployments.npu.embeddings.api import embedding_routes
from deployments.npu.embeddings.service import Embedder
from deployments.npu.fake import (
    FakeEmbeddingModel,
    FakeInferenceModel,
    FakeModels,
    FakeOcr,
    FakeRerankModel,
    FakeSpeechModel,
)
from deployments.npu.inference.api import kserve_routes
from deployments.npu.inference.service import Inference
from deployments.npu.ocr.api import ocr_routes
from deployments.npu.ocr.pictures import Pictures
from deployments.npu.ocr.service import Reader
from deployments.npu.rerank.api import rerank_routes
from deployments.npu.rerank.service import Reranker
from deployments.npu.speech.api import speech_routes
from deployments.npu.speech.recordings import Recordings
from deployments.npu.speech.service import Transcriber
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
