"""Room npu: OpenVINO, one application for each kind of work, so that none holds up another.

Serve gives an application one path prefix and processes of its own; docs/decisions/embeddings.md
says why these five. Only embeddings are loaded at start: every other engine loads when somebody
first asks for it, and its process is small until then.
"""

from typing import Any

import structlog
from fastapi import APIRouter
from ray import serve

from autobot.contracts.embeddings import Embeddings
from autobot.contracts.tools import Tools
from autobot.errors import ModelNotFound
from autobot.serving.calls import serves
from autobot.serving.room import RoomReplica
from autobot.tools.tool import ToolSet

log = structlog.get_logger()

# Serve imports this module on the head, where OpenVINO need not be installed: everything that needs
# it is imported in constructors.


@serve.deployment
@serve.ingress()
@serves(Embeddings, Tools)
class Npu(RoomReplica):
    """OpenAI's embeddings endpoint."""

    room = "npu"

    def __init__(self) -> None:
        super().__init__()
        from deployments.npu.embeddings.driver import OpenVinoEmbeddingModels
        from deployments.npu.embeddings.service import Embedder, EmbeddingsForRooms
        from deployments.npu.embeddings.tools import embedding_tools
        from deployments.npu.openvino.driver import ENGINE, Device

        self.engine = ENGINE
        self.embedder = Embedder(OpenVinoEmbeddingModels(self.settings, Device(self.settings)))
        self.embeddings = EmbeddingsForRooms(self.embedder, ENGINE)
        self.tools = ToolSet(embedding_tools(self.embedder))
        try:
            self.embedder.preload()
        except ModelNotFound as error:  # the room is up and says what it lacks until it is there
            log.warning("npu.no_default_model", reason=error.detail)

    def router(self) -> APIRouter:
        from deployments.npu.embeddings.api import embedding_routes

        return embedding_routes(self.embedder, self.engine)

    async def facts(self) -> dict[str, Any]:
        return await self.embedder.facts()


@serve.deployment
@serve.ingress()
@serves(Tools)
class NpuRerank(RoomReplica):
    """Cohere's and Jina's rerank endpoint."""

    room = "npu"
    own_port = False  # the room's port belongs to its first application

    def __init__(self) -> None:
        super().__init__()
        from deployments.npu.openvino.driver import ENGINE, Device
        from deployments.npu.rerank.driver import OpenVinoRerankModels
        from deployments.npu.rerank.service import Reranker
        from deployments.npu.rerank.tools import rerank_tools

        self.engine = ENGINE
        self.reranker = Reranker(OpenVinoRerankModels(self.settings, Device(self.settings)))
        self.tools = ToolSet(rerank_tools(self.reranker))

    def router(self) -> APIRouter:
        from deployments.npu.rerank.api import rerank_routes

        return rerank_routes(self.reranker, self.engine)

    async def facts(self) -> dict[str, Any]:
        return await self.reranker.facts()


@serve.deployment
@serve.ingress()
@serves(Tools)
class NpuOcr(RoomReplica):
    """Text in images and pages."""

    room = "npu"
    own_port = False

    def __init__(self) -> None:
        super().__init__()
        from deployments.npu.ocr.driver import RapidOcrEngine
        from deployments.npu.ocr.pictures import Pictures
        from deployments.npu.ocr.service import Reader
        from deployments.npu.ocr.tools import ocr_tools
        from deployments.npu.openvino.driver import ENGINE, Device

        self.engine = ENGINE
        self.reader = Reader(RapidOcrEngine(Device(self.settings), Pictures()))
        self.tools = ToolSet(ocr_tools(self.reader, ENGINE))

    def router(self) -> APIRouter:
        from deployments.npu.ocr.api import ocr_routes

        return ocr_routes(self.reader, self.engine)

    async def facts(self) -> dict[str, Any]:
        return await self.reader.facts()


@serve.deployment
@serve.ingress()
@serves(Tools)
class NpuSpeech(RoomReplica):
    """OpenAI's transcription endpoint."""

    room = "npu"
    own_port = False

    def __init__(self) -> None:
        super().__init__()
        from deployments.npu.openvino.driver import ENGINE, Device
        from deployments.npu.speech.driver import OpenVinoSpeechModels
        from deployments.npu.speech.recordings import Recordings
        from deployments.npu.speech.service import Transcriber
        from deployments.npu.speech.tools import speech_tools

        self.engine = ENGINE
        models = OpenVinoSpeechModels(self.settings, Device(self.settings))
        self.transcriber = Transcriber(models, Recordings())
        self.tools = ToolSet(speech_tools(self.transcriber))

    def router(self) -> APIRouter:
        from deployments.npu.speech.api import speech_routes

        return speech_routes(self.transcriber, self.engine)

    async def facts(self) -> dict[str, Any]:
        return await self.transcriber.facts()


@serve.deployment
@serve.ingress()
class NpuKServe(RoomReplica):
    """The Open Inference Protocol for the owner's own models."""

    room = "npu"
    own_port = False

    def __init__(self) -> None:
        super().__init__()
        from deployments.npu.inference.driver import OpenVinoInferenceModels
        from deployments.npu.inference.service import Inference
        from deployments.npu.openvino.driver import ENGINE, Device

        self.engine = ENGINE
        self.inference = Inference(OpenVinoInferenceModels(self.settings, Device(self.settings)))

    def router(self) -> APIRouter:
        from deployments.npu.inference.api import kserve_routes

        return kserve_routes(self.inference, self.engine)

    async def facts(self) -> dict[str, Any]:
        return await self.inference.facts()


app = Npu.bind()
rerank_app = NpuRerank.bind()
ocr_app = NpuOcr.bind()
speech_app = NpuSpeech.bind()
kserve_app = NpuKServe.bind()
