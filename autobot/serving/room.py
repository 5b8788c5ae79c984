"""`RoomReplica`: what every room's deployment is made of.

A room's class gives routes and facts; this gives it keys, error shapes, limits, metrics, a probe,
and a listener on the room's own port beside Serve's.
"""

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import ray
import structlog
import uvicorn
from fastapi import APIRouter, FastAPI
from ray import serve
from ray.util.metrics import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autobot import __version__
from autobot.contracts.health import RoomReport
from autobot.contracts.keys import Keys
from autobot.keys import KeyRing
from autobot.manifests import rooms
from autobot.serving.bounded_http import BoundedHttp
from autobot.serving.calls import client
from autobot.serving.disks import Disks
from autobot.settings import Settings
from autobot.web.app import create_app
from autobot.web.remembered import Remembered

log = structlog.get_logger()

NO_KEYS = "Room redis, which keeps the keys, does not answer ({})."
LEAVES_WITHIN_S = 2.0
HEALTH_EVERY_S = 0.5
"""Anybody may ask for it, and engines are asked."""
LATENCY_BOUNDARIES_S = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60]


class Room:
    """A replica of a room: where it runs and how it is."""

    room: ClassVar[str]

    def __init__(self) -> None:
        if wrong := rooms().left_out.get(self.room):
            raise wrong
        self.settings = Settings()
        self.disks = Disks(self.settings.home, self.settings.cache, Path(tempfile.gettempdir()))
        self.started = time.monotonic()
        context = ray.get_runtime_context()
        self.node_id: str = context.get_node_id()
        self.address: str = ray.util.get_node_ip_address()
        self.app_name: str = serve.get_replica_context().app_name

    def warnings(self) -> list[str | None]:
        """What is amiss without stopping anything."""
        return []

    async def facts(self) -> dict[str, Any]:
        """What really runs here: ``device``, ``models`` and anything else; raises when unwell."""
        return {}

    async def probe(self) -> RoomReport:
        """As `Replica`."""
        try:
            facts = await self.facts()
            reasons = [facts.pop("degraded", None), *self.warnings(), *await self.disks.full()]
            reason = "; ".join(filter(None, reasons)) or None
            state = "degraded" if reason else "ok"
        except Exception as error:  # a sick engine must be reported, not hidden behind a timeout
            facts, state, reason = {}, "down", str(error) or type(error).__name__
        return RoomReport(
            room=self.room,
            app=self.app_name,
            state=state,
            reason=reason,
            device=facts.pop("device", None),
            models=facts.pop("models", []),
            version=__version__,
            node_id=self.node_id,
            address=self.address,
            pid=os.getpid(),
            uptime_s=round(time.monotonic() - self.started, 1),
            facts=facts,
        )


class RoomReplica(Room):
    """A room that answers HTTP, through the ingress and on its own port."""

    own_port: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        snapshot = self.settings.home / "state" / "keys.json"
        self.keys = KeyRing(client(Keys, "redis", NO_KEYS).records, snapshot)
        self._requests = Counter(
            "autobot_requests", "Requests answered", tag_keys=("room", "route", "status")
        )
        self._latency = Histogram(
            "autobot_request_seconds",
            "Seconds until the first byte of the answer",
            boundaries=LATENCY_BOUNDARIES_S,
            tag_keys=("room", "route"),
        )

    def router(self) -> APIRouter:
        """The room's routes, with full paths."""
        raise NotImplementedError

    def middleware(self) -> Sequence[Middleware]:
        """What decides about requests before the routes see them."""
        return ()

    def warnings(self) -> list[str | None]:
        """Say why the snapshot of API keys could not be written, if it could not."""
        return [self.keys.snapshot_error]

    async def take_keys(self) -> str | None:
        """As `Replica`."""
        return self.address if await self.keys.refresh() else None

    async def openapi(self) -> dict[str, Any]:
        """As `Replica`."""
        return self.asgi.openapi()

    def __serve_build_asgi_app__(self) -> FastAPI:
        # What comes last begins last and ends first: a port is open while all behind it is there.
        self.asgi = create_app(
            self.room,
            [self._liveness(), self.router(), APIRouter(lifespan=self._own_port)],
            self.keys,
            headers={"x-autobot-node": self.address},
            max_body_bytes=self.settings.max_body_bytes,
            observe=self._observe,
            lifespan=self._lifespan,
            middleware=self.middleware(),
        )
        return self.asgi

    def _liveness(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        report_of = Remembered(self.probe, HEALTH_EVERY_S)

        @router.get("/health")
        async def health() -> dict[str, Any]:
            """Return this replica's state, `ok`, `degraded` or `down`. Needs no key."""
            report = await report_of.get()
            return {"room": self.room, "state": report.state}

        return router

    def _observe(self, route: str, status: int, seconds: float) -> None:
        self._requests.inc(tags={"room": self.room, "route": route, "status": str(status)})
        self._latency.observe(seconds, tags={"room": self.room, "route": route})

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.keys.start()
        try:
            yield
        finally:
            await self.keys.stop()

    @contextlib.asynccontextmanager
    async def _own_port(self, app: FastAPI) -> AsyncIterator[None]:
        port = rooms().port(self.room, self.settings)
        if not self.own_port or self.room == "main" or port is None:
            yield
            return
        server = OwnPort(app, self.settings.bind, port)
        await server.start()
        try:
            yield
        finally:
            await server.stop()


class OwnPort:
    """The same application on the room's own port, in the replica's event loop.

    SO_REUSEPORT lets the old and the new replica of a rolling update listen at once.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._app, self._host, self._port = app, host, port
        options: dict[str, Any] = {"lifespan": "off", "log_config": None, "access_log": False}
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            http=BoundedHttp,
            timeout_graceful_shutdown=5,
            **options,
        )
        self._server = _EmbeddedServer(config)
        self._task: asyncio.Task[None] | None = None
        self._leaving = False

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def last(message: Message) -> None:
            if self._leaving and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, last)

    async def start(self) -> None:
        """Listen, and serve in a task of the running loop. OSError when the port is taken."""
        # Named, or asyncio does not take it for TCP and leaves it to wait before small answers.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((self._host, self._port))
        self._task = asyncio.get_running_loop().create_task(self._server.serve([listener]))
        log.info("room.own_port", host=self._host, port=self._port)

    async def stop(self) -> None:
        """Take nobody new, tell those who are connected with their next answer, then close.

        A connection that is closed while its client begins to ask would lose that request.
        """
        if self._task is None:
            return
        self._leaving = True
        for listening in self._server.servers:
            listening.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVES_WITHIN_S):
                while self._server.server_state.connections:  # noqa: ASYNC110  uvicorn tells nobody
                    await asyncio.sleep(0.05)
        self._server.should_exit = True
        await asyncio.wait([self._task], timeout=10)


class _EmbeddedServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process belongs to Ray."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
