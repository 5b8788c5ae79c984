"""`/api/health` and `/api/cluster`: how the platform is, and what runs where."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request

from autobot import __version__
from autobot.contracts.health import PlatformHealth
from autobot.errors import Unauthenticated
from autobot.health import HealthMonitor
from autobot.keys import KeyRing
from autobot.web.auth import presented_key, require
from deployments.main.health.schemas import ClusterInfo, NodeInfo, PlatformState

Nodes = Callable[[], Awaitable[list[dict[str, Any]]]]
"""Every node Ray knows, dead ones too; raises `Unavailable` when Ray does not answer."""


def health_routes(monitor: HealthMonitor, nodes: Nodes, ring: KeyRing) -> APIRouter:
    """``ring`` is asked whose key is sent along: the whole answer is for those who have one."""
    router = APIRouter(tags=["platform"])

    @router.get("/api/health")
    async def health(request: Request) -> PlatformHealth | PlatformState:
        """Without a key one word; with one, every room. Never waits for a room that is away."""
        try:
            ring.check(presented_key(request), "read")
        except Unauthenticated:
            if presented_key(request):
                raise
            return PlatformState(state=monitor.health.state)
        return monitor.health

    @router.get("/api/cluster", dependencies=[Depends(require("read"))])
    async def cluster() -> ClusterInfo:
        """Nodes, the rooms on them, their replicas, devices and versions."""
        known = [NodeInfo.model_validate(node) for node in await nodes()]
        return ClusterInfo(version=__version__, nodes=known, rooms=monitor.health.rooms)

    return router
