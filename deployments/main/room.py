"""What room main's API is made of."""

from typing import Any, Protocol

from fastapi import APIRouter

from autobot.contracts.backup import Backup
from autobot.contracts.keys import Keys
from autobot.contracts.secrets import Secrets
from autobot.health import HealthMonitor
from autobot.keys import KeyRing
from autobot.tools.registry import Registry
from deployments.main.automation.room import AutomationRoom
from deployments.main.backup.api import backup_routes
from deployments.main.documentation.api import documentation_routes
from deployments.main.health.api import health_routes
from deployments.main.keys.api import key_routes
from deployments.main.mcp.api import mcp_routes
from deployments.main.secrets.api import secret_routes
from deployments.main.tools.api import tool_routes


class Cluster(Protocol):
    """What the routes need of the Ray cluster: see `ClusterView`."""

    async def nodes(self) -> list[dict[str, Any]]: ...
    async def spread_keys(self) -> list[str]: ...
    async def openapi(self) -> list[dict[str, Any]]: ...


def main_routes(
    monitor: HealthMonitor,
    cluster: Cluster,
    ring: KeyRing,
    keys: Keys,
    backup: Backup,
    registry: Registry,
    automation: AutomationRoom,
    secrets: Secrets,
    max_body_bytes: int,
) -> APIRouter:
    """``ring`` is what this replica accepts, ``keys`` what room redis keeps."""
    router = APIRouter()
    router.include_router(health_routes(monitor, cluster.nodes, ring))
    router.include_router(backup_routes(backup))
    router.include_router(key_routes(keys, cluster.spread_keys))
    router.include_router(documentation_routes(cluster.openapi))
    router.include_router(tool_routes(registry))
    router.include_router(mcp_routes(registry, max_body_bytes))
    router.include_router(automation.router())
    router.include_router(secret_routes(secrets))
    return router
