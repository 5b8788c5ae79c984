"""The whole room in one process, with engines and neighbours that are fakes."""

from collections.abc import AsyncGenerator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from fastapi import FastAPI

from autobot.catalogue import Catalogue
from autobot.contracts.embeddings import EmbeddingRequest, FakeEmbeddings, Vectors
from autobot.contracts.responses import FakeResponses
from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.web.app import create_app
from deployments.llm.chat.api import chat_routes
from deployments.llm.chat.service import ChatService
from deployments.llm.completions.api import completion_routes
from deployments.llm.engine import ModelCard
from deployments.llm.engines.fallback import FallbackEngine
from deployments.llm.fake import FakeEngine
from deployments.llm.models.manager import ModelManager
from deployments.llm.ollama_api.api import ollama_routes
from deployments.llm.ollama_api.embeddings import OllamaOrNpu
from deployments.llm.responses.api import response_routes
from deployments.llm.responses.store import ResponseStore, Stored

KEPT = "resp_kept"
KEY, RECORD = make_key(NewKey.model_validate({"name": "all", "scopes": ["llm", "admin"]}))


class Server:
    """An Ollama server that is there, and has nothing but what it is asked to fetch."""

    reason = None

    async def models(self) -> list[ModelCard]:
        return []

    async def running(self) -> list[ModelCard]:
        return []

    async def show(self, name: str) -> dict[str, Any]:
        return {"capabilities": ["completion"]}

    async def delete(self, name: str) -> None: ...
    async def unload(self, name: str) -> None: ...
    async def load(self, name: str, keep_alive_s: float | None) -> None: ...

    async def pull(self, name: str) -> AsyncGenerator[dict[str, Any], None]:
        yield {"status": "pulling manifest"}
        yield {"status": "success"}

    async def embeds(self, name: str) -> bool:
        return False

    async def embed(self, request: EmbeddingRequest) -> Vectors:
        raise AssertionError("it embeds nothing")


async def room(ring: KeyRing | None = None) -> FastAPI:
    """Models `fake` (the default), `seeing` and `list`, and one stored response.

    Its keys are those of ``ring``; without one, `KEY`.
    """
    engines = [FakeEngine(["fake"]), FakeEngine(["seeing"], vision=True)]
    places = {"list": ["nowhere/fake", "fake/fake"]}
    service = ChatService(engines, lambda: "fake", FallbackEngine(engines, places))
    store = ResponseStore(FakeResponses({RECORD.id}))
    said = [{"type": "message", "role": "user", "content": "hello"}]
    await store.put(RECORD.id, Stored(said, {"id": KEPT, "output": []}))
    server = Server()
    manager = ModelManager(Catalogue(Path(mkdtemp())), server, server, service.model)
    routers = [
        chat_routes(service),
        completion_routes(service),
        response_routes(service, store),
        ollama_routes(service, manager, OllamaOrNpu(server, FakeEmbeddings())),
    ]
    if ring is None:
        ring = KeyRing(keys)
        await ring.refresh()
    return create_app("llm", routers, ring)


async def keys() -> list[KeyRecord]:
    return [RECORD]
