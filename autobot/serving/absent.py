"""Callers of a room whose VMs are lost are told so, instead of waiting for the room to return.

While no replica of an application runs, HAProxy hands its requests to a proxy of Serve on the head,
which lets them wait for one: right while a replica restarts, in vain when its VM is gone. Serve
puts `middlewares` into that proxy (RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Sequence

import ray
import structlog
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autobot.errors import Unavailable
from autobot.manifests import Rooms, rooms
from autobot.platform.topology import Topology, TopologyFile, cluster_file
from autobot.serving.control_store import ask
from autobot.web.problems import describe

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
LOOK_DEADLINE_S = 5.0


class Vms:
    """Which VMs of each room Ray has lost; asked once a second at most, however many ask."""

    def __init__(
        self,
        topology: Callable[[], Topology | None],
        alive: Callable[[], Collection[str]],
    ) -> None:
        """``alive`` gives the addresses of the living nodes; it blocks."""
        self._topology = topology
        self._ask = alive
        self._alive: Collection[str] | None = None
        self._looked = -LOOK_EVERY_S
        self._asking: asyncio.Future[Collection[str]] | None = None
        self._asked = 0.0

    async def all_lost(self, room: str) -> Sequence[str]:
        """The room's VMs if every one of them is lost, else none."""
        topology = self._topology()
        if topology is None or room not in topology.rooms:
            return ()
        await self._look()
        addresses = topology.rooms[room].addresses
        known = self._alive
        return () if known is None or set(addresses) & set(known) else addresses

    async def _look(self) -> None:
        """Ask one question at a time: while room main is away none is answered."""
        now = time.monotonic()
        if self._asking is None and now - self._looked >= LOOK_EVERY_S:
            self._asked = now
            self._asking = asyncio.ensure_future(ask(self._ask))
            self._asking.add_done_callback(self._answered)
        if self._asking is None:
            return
        left = self._asked + LOOK_DEADLINE_S - now
        if left > 0:
            await asyncio.wait({self._asking}, timeout=left)
        if self._asking is not None and not self._asking.done():
            self._alive = None  # without an answer nobody is called lost

    def _answered(self, asked: asyncio.Future[Collection[str]]) -> None:
        self._asking, self._looked = None, time.monotonic()
        error = asked.exception()
        if error is None:
            self._alive = asked.result()
            return
        log.warning("absent.unknown", reason=str(error) or type(error).__name__)
        self._alive = None


class TellAbsence:
    """Answers 503 for a room that is lost, also to those that wait when it is."""

    def __init__(self, app: ASGIApp, vms: Vms, rooms: Rooms) -> None:
        self._app = app
        self._vms = vms
        self._rooms = rooms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_path = scope["type"] in ("http", "websocket")
        room = self._rooms.room_at(scope["path"]) if has_path else None
        if room is None:
            await self._app(scope, receive, send)
            return
        if lost := await self._vms.all_lost(room):
            await _refuse(room, lost, scope, receive, send)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        serving = asyncio.ensure_future(self._app(scope, receive, noted))
        try:
            while not started and not serving.done():
                await asyncio.wait([serving], timeout=LOOK_EVERY_S)
                if started or serving.done():
                    break
                if lost := await self._vms.all_lost(room):
                    await _end(serving)
                    await _refuse(room, lost, scope, receive, send)
                    return
            await serving
        finally:
            await _end(serving)


async def _end(serving: asyncio.Future[None]) -> None:
    if not serving.done():
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await serving


async def _refuse(
    room: str, lost: Sequence[str], scope: Scope, receive: Receive, send: Send
) -> None:
    error = Unavailable(f"Room {room} is away: VM {', '.join(lost)} does not answer.")
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013, "reason": error.detail})
        return
    await describe(error, scope["path"])(scope, receive, send)


def living_nodes() -> set[str]:
    """The addresses of the Ray nodes that are alive."""
    return {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def middlewares() -> list[Middleware]:
    """What Serve puts around its proxy."""
    file = TopologyFile(cluster_file())
    here = ray.util.get_node_ip_address()
    vms = Vms(lambda: file.of(here), living_nodes)
    return [Middleware(TellAbsence, vms=vms, rooms=rooms())]
