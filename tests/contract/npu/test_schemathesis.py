"""Nothing the document of room npu allows, and nothing it forbids, makes the room crash."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from schemathesis import GenerationMode

from deployments.npu.driver_audio import decode
from deployments.npu.embedding import Embedder
from deployments.npu.fake import (
    FakeEmbeddingModel,
    FakeInferenceModel,
    FakeModels,
    FakeOcr,
    FakeRerankModel,
    FakeSpeechModel,
)
from deployments.npu.kserve import DATATYPES, Inference
from deployments.npu.ocr import Reader
from deployments.npu.rerank import Reranker
from deployments.npu.routes import embedding_routes
from deployments.npu.routes_kserve import kserve_routes
from deployments.npu.routes_ocr import ocr_routes
from deployments.npu.routes_rerank import rerank_routes
from deployments.npu.routes_speech import speech_routes
from deployments.npu.speech import Transcriber
from tests.contract.llm.documented import MODES, ask_all, can_be_wrong, operations
from tests.contract.npu.conftest import KEY, WRITTEN, app_of

EXAMPLES = 15
"""In each mode: of requests as documented, and of others."""
KNOWN: dict[str, list[Any]] = {
    "model": ["fake", "default", "nobody"],
    "name": ["a", "b"],
    "datatype": [*DATATYPES, "BYTES"],
}
REFUSING = {"POST /api/ocr", "POST /v1/audio/transcriptions", "POST /v2/models/{name}/infer"}
"""What nobody chose is no picture, no sound and no two tensors of one shape: all may be refused."""


async def room() -> FastAPI:
    """The room's five applications as one; the model for inference is called `a`."""
    return await app_of(
        embedding_routes(Embedder(FakeModels(FakeEmbeddingModel("fake"))), "fake"),
        rerank_routes(Reranker(FakeModels(FakeRerankModel("fake"))), "fake"),
        ocr_routes(Reader(FakeOcr(WRITTEN)), "fake"),
        speech_routes(Transcriber(FakeModels(FakeSpeechModel("fake")), decode), "fake"),
        kserve_routes(Inference(FakeModels(FakeInferenceModel("a"))), "fake"),
    )


OPERATIONS = operations(asyncio.run(room()), KNOWN)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def test_every_api_of_the_room_is_documented() -> None:
    assert len(OPERATIONS) == 11
    assert REFUSING | {"POST /v1/embeddings", "POST /v1/rerank"} < set(OPERATIONS)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_documented_operation_never_crashes_and_refuses_in_its_own_shape(
    runner: asyncio.Runner, label: str, mode: GenerationMode
) -> None:
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not can_be_wrong(operation):
        pytest.skip("nothing in it can be wrong")
    served = ask_all(runner, runner.run(room()), KEY, operation, mode, EXAMPLES)
    assert served or label in REFUSING or mode is GenerationMode.NEGATIVE
