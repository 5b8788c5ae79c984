"""Room npu: embeddings and OCR on OpenVINO, two applications so that neither slows the other."""

from typing import Any

import structlog
from fastapi import APIRouter
from ray import serve

from autobot.errors import ModelNotFound
from autobot.serving.room import RoomReplica

log = structlog.get_logger()


@serve.deployment
@serve.ingress()
class Npu(RoomReplica):
    """OpenAI's embeddings endpoint."""

    room = "npu"

    def __init__(self) -> None:
        super().__init__()
        # Serve imports this module on the head, where OpenVINO need not be installed.
        from deployments.npu.driver_device import ENGINE, Device
        from deployments.npu.driver_embedding import OpenVinoEmbeddingModels
        from deployments.npu.embedding import Embedder

        self.engine = ENGINE
        self.embedder = Embedder(OpenVinoEmbeddingModels(self.settings, Device(self.settings)))
        try:
            self.embedder.preload()
        except ModelNotFound as error:  # the room is up and says what it lacks until it is there
            log.warning("npu.no_default_model", reason=error.detail)

    def router(self) -> APIRouter:
        from deployments.npu.routes import embedding_routes

        return embedding_routes(self.embedder, self.engine)

    async def facts(self) -> dict[str, Any]:
        return await self.embedder.facts()


@serve.deployment
@serve.ingress()
class NpuOcr(RoomReplica):
    """Text in images."""

    room = "npu"
    own_port = False  # the room's port belongs to its first application

    def __init__(self) -> None:
        super().__init__()
        from deployments.npu.driver_device import ENGINE, Device
        from deployments.npu.driver_ocr import RapidOcrEngine
        from deployments.npu.ocr import Reader

        self.engine = ENGINE
        self.reader = Reader(RapidOcrEngine(Device(self.settings)))

    def router(self) -> APIRouter:
        from deployments.npu.routes import ocr_routes

        return ocr_routes(self.reader, self.engine)

    async def facts(self) -> dict[str, Any]:
        return await self.reader.facts()


app = Npu.bind()
ocr_app = NpuOcr.bind()
