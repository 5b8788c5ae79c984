"""A room's routes behind a real socket, with real keys."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import APIRouter

from autobot.keys import KeyRecord, KeyRing, NewKey, Scope, make_key
from autobot.web.app import create_app
from deployments.llm.ollama_api.api import OllamaPaths
from tests.contract.llm.conftest import until


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """The test runner keeps its own."""
        yield


@asynccontextmanager
async def served(
    routers: Sequence[APIRouter], records: list[KeyRecord]
) -> AsyncGenerator[str, None]:
    """The address of a server as the room's own port is."""

    async def fetch() -> list[KeyRecord]:
        return records

    ring = KeyRing(fetch)
    await ring.refresh()
    app = create_app("llm", routers, ring, max_body_bytes=8 << 20)
    app.add_middleware(OllamaPaths)
    server = _Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def key_of(scope: Scope) -> tuple[str, KeyRecord]:
    return make_key(NewKey.model_validate({"name": scope, "scopes": [scope]}))
