"""A stand-in for the platform's ingress: the contract the page is written against, on loopback.

The switches on `Platform` make rooms fail, answers wait and the whole ingress vanish.
"""

import asyncio
import contextlib
import json
import socket
import struct
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.middleware.cors import CORSMiddleware

from autobot.keys import NewKey, make_key
from tests.e2e.web.stub_automations import Automating
from tests.e2e.web.stub_browser import Browsing

KEY, OWNER = make_key(NewKey(name="owner", scopes=("read", "llm", "browser", "automation", "npu")))
CHAT_ONLY_KEY, GUEST = make_key(NewKey(name="guest", scopes=("llm",)))
ADDRESSES = {
    "main": "172.16.168.20",
    "frontend": "172.16.168.21",
    "npu": "172.16.168.22",
    "redis": "172.16.168.23",
    "llm": "172.16.168.24",
    "browser": "172.16.168.25",
}
MODELS = {"npu": ["gte-small"], "llm": ["qwen2.5-coder-1.5b-instruct"]}
WORDS = ["A ", "cluster ", "is ", "many ", "computers ", "that ", "work ", "as ", "one", "."]


def room(name: str) -> dict[str, Any]:
    return {
        "room": name,
        "state": "ok",
        "since": "2026-01-05T08:00:00Z",
        "reason": None,
        "latency_ms": 1.2,
        "node": {"id": f"node-{name}", "address": ADDRESSES[name]},
        "replicas": 1,
        "device": "CPU" if name in MODELS else None,
        "models": MODELS.get(name, []),
        "version": "0.1.0",
    }


@dataclass
class Platform:
    """State of the stand-in; tests change it while the page watches."""

    rooms: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {name: room(name) for name in ADDRESSES}
    )
    words: list[str] = field(default_factory=lambda: list(WORDS))
    pause_s: float = 0.02
    """Seconds between two words of an answer."""
    chat_error: tuple[int, str] | None = None
    revoked: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    disconnected: threading.Event = field(default_factory=threading.Event)
    step: threading.Semaphore | None = None
    """When set, each word of an answer waits for one release."""
    browsing: Browsing = field(default_factory=lambda: Browsing(KEY))
    automating: Automating = field(default_factory=lambda: Automating((OWNER, GUEST)))

    @property
    def state(self) -> str:
        return "ok" if all(room["state"] == "ok" for room in self.rooms.values()) else "degraded"

    def app(self) -> FastAPI:
        rooms = self.automating.app()

        @contextlib.asynccontextmanager
        async def running(app: FastAPI) -> AsyncIterator[None]:
            async with rooms.router.lifespan_context(rooms):
                yield

        app = FastAPI(lifespan=running)
        app.add_middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )

        @app.get("/api/health")
        async def health(request: Request) -> Response:
            if refused := self.refusal(request, "read"):
                return refused
            body = {"state": self.state, "version": "0.1.0", "rooms": self.rooms}
            return JSONResponse(body)

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Response:
            if refused := self.refusal(request, "llm"):
                return refused
            self.asked.append(await request.json())
            if self.chat_error:
                status, message = self.chat_error
                error = {"message": message, "type": "server_error", "param": None, "code": None}
                return JSONResponse({"error": error}, status, {"Retry-After": "2"})
            headers = {
                "x-autobot-room": "llm",
                "x-autobot-node": ADDRESSES["llm"],
                "x-autobot-device": "CPU",
                "x-autobot-model": MODELS["llm"][0],
                "x-autobot-engine": "llama.cpp",
            }
            return StreamingResponse(self.answer(), media_type="text/event-stream", headers=headers)

        @app.post("/api/browser/screenshot")
        async def screenshot(request: Request) -> Response:
            if refused := self.refusal(request, "browser"):
                return refused
            url = (await request.json())["url"]
            if "192.168." in url:
                detail = "192.168.1.1 is a private address."
                kind = "urn:autobot:problem:blocked-address"
                return JSONResponse({"type": kind, "detail": detail}, 403)
            return Response(
                png(640, 400), media_type="image/png", headers={"x-autobot-room": "browser"}
            )

        app.include_router(self.browsing.router())
        app.mount("/", rooms)  # what is left: automations and runs
        return app

    def refusal(self, request: Request, scope: str) -> Response | None:
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        if sent == CHAT_ONLY_KEY and not self.revoked:
            detail = f"This key lacks the scope '{scope}'."
            return None if scope == "llm" else JSONResponse({"detail": detail}, 403)
        if sent == KEY and not self.revoked:
            return None
        return JSONResponse({"detail": "This API key is not known."}, 401)

    async def answer(self) -> AsyncIterator[str]:
        try:
            for word in self.words:
                if self.step is not None:
                    await asyncio.to_thread(self.step.acquire)
                await asyncio.sleep(self.pause_s)
                yield event({"choices": [{"index": 0, "delta": {"content": word}}]})
            yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            yield event({"choices": [], "usage": {"completion_tokens": len(self.words)}})
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.disconnected.set()
            raise


def event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps({'object': 'chat.completion.chunk', **body})}\n\n"


def png(width: int, height: int) -> bytes:
    """A real image: a grey-blue gradient, eight bits a channel."""
    rows = b"".join(
        b"\0" + bytes(v for x in range(width) for v in (60 + y // 4, 80 + x // 5, 160))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(app: FastAPI, port: int) -> Iterator[None]:
    """Serve ``app`` on loopback from a thread until the block ends; connections are cut at once."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError(f"the server on port {port} did not start")
        threading.Event().wait(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
