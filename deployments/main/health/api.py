"""`/api/health` and `/api/cluster`: how the platform is, and what runs where."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request

from autobot import __version__
from autobot.errors import Unauthenticated
from autobot.health import HealthMonitor
from autobot.keys import KeyRing
from autobot.web.auth import presented_key, require

Nodes = Callable[[], Awaitable[list[dict[str, Any]]]]
"""Every node Ray knows, dead ones too; raises `Unavailable` when Ray does not answer."""


def health_routes(monitor: HealthMonitor, nodes: Nodes, ring: KeyRing) -> APIRouter:
    """``ring`` is asked whose key is sent along: the whole answer is for those who have one."""
    router = APIRouter(tags=["platform"])

    @router.get("/api/health")
    async def health(request: Request) -> dict[str, Any]:
        """Without a key one word; with one, every room. Never waits for a room that is away."""
        try:
            ring.check(presented_key(request), "read")
        except Unauthenticated:
            if presented_key(request):
                raise
            return {"state": monitor.health.state}
        return monitor.health.model_dump()

    @router.get("/api/cluster", dependencies=[Depends(require("read"))])
    async def cluster() -> dict[str, Any]:
        """Nodes, the rooms on them, their replicas, devices and versions."""
        rooms = monitor.health.rooms
        return {
            "version": __version__,
            "nodes": await nodes(),
            "rooms": {name: room.model_dump() for name, room in rooms.items()},
        }

    return router
