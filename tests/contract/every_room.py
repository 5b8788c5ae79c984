"""The HTTP side of every application that has one, as `RoomReplica` makes it, engines aside."""

from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI

from autobot.contracts.automations import FakeAutomations
from autobot.contracts.backup import FakeBackup
from autobot.contracts.health import RoomReport
from autobot.contracts.keys import FakeKeys
from autobot.contracts.profiles import FakeProfiles
from autobot.contracts.runs import FakeRuns
from autobot.health import HealthMonitor, Serving
from autobot.keys import KeyRecord, KeyRing, NewKey, Scope, make_key
from autobot.manifests import rooms
from autobot.settings import Settings
from autobot.tools.registry import Registry
from autobot.web.app import create_app
from deployments.browser.room import BrowserRoom
from deployments.frontend.routes import Platform, web_routes
from deployments.frontend.site import Site
from deployments.llm.ollama_api.relay import forward_routes
from deployments.main.automation.room import AutomationRoom
from deployments.main.room import main_routes
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
from deployments.npu.speech.audio import decode
from deployments.npu.speech.service import Transcriber
from tests.contract.llm import in_process

SCOPES: tuple[Scope, ...] = (
    "read", "llm", "npu", "browser", "browser:evaluate", "automation", "admin",
)  # fmt: skip


class Keys:
    """A key for each scope, and the ring that knows them."""

    def __init__(self) -> None:
        made = {scope: make_key(NewKey(name="one", scopes=(scope,))) for scope in SCOPES}
        self.key: dict[Scope, str] = {scope: key for scope, (key, _) in made.items()}
        self.records: dict[Scope, KeyRecord] = {
            scope: record for scope, (_, record) in made.items()
        }
        self.ring = KeyRing(self.fetch)

    async def fetch(self) -> list[KeyRecord]:
        return [*self.records.values()]


async def _probe(app: str) -> list[RoomReport]:
    return []


async def _serving() -> Serving:
    return Serving()


class NoCluster:
    """A cluster without nodes; no test here comes as far as asking it."""

    async def nodes(self) -> list[dict[str, Any]]:
        return []

    async def spread_keys(self) -> list[str]:
        return []

    async def openapi(self) -> list[dict[str, Any]]:
        return []


def _main(keys: Keys) -> APIRouter:
    monitor = HealthMonitor({"main": ["main"]}, _probe, _serving)
    registry, kept = Registry({}), FakeKeys()
    automation = AutomationRoom(
        FakeAutomations(), FakeRuns(), kept, keys.ring, registry, keys.ring.refresh
    )
    return main_routes(
        monitor, NoCluster(), keys.ring, kept, FakeBackup(), registry, automation, 1 << 20
    )


def _npu() -> dict[str, APIRouter]:
    inference = Inference(FakeModels(FakeInferenceModel("twice")))
    speech = Transcriber(FakeModels(FakeSpeechModel("whisper")), decode)
    return {
        "npu": embedding_routes(Embedder(FakeModels(FakeEmbeddingModel("gte"))), "fake"),
        "npu-rerank": rerank_routes(Reranker(FakeModels(FakeRerankModel("gte"))), "fake"),
        "npu-ocr": ocr_routes(Reader(FakeOcr(("a line",), Pictures())), "fake"),
        "npu-speech": speech_routes(speech, "fake"),
        "npu-kserve": kserve_routes(inference, "fake"),
    }


async def every_app(keys: Keys, home: Path) -> dict[str, FastAPI]:
    """Serve application -> its ASGI application."""
    await keys.ring.refresh()
    nobody = httpx.AsyncClient(base_url="http://127.0.0.1:9")
    browser = BrowserRoom.of(Settings(home=home), "here", FakeProfiles(()))
    routers = {
        "main": _main(keys),
        "frontend": web_routes(Site(home), Platform(None, 1, 2)),
        "llm-ollama": forward_routes(nobody),
        "browser": browser.router(),
        **_npu(),
    }
    apps = {
        name: create_app(rooms().room_of(name), [it], keys.ring) for name, it in routers.items()
    }
    apps["llm"] = await in_process.room(keys.ring)
    return apps
