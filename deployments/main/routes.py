"""The platform's own endpoints: health, cluster, keys, documentation."""

from typing import Any, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from autobot import __version__
from autobot.errors import Unauthenticated
from autobot.health import HealthMonitor
from autobot.keys import KeyRecord, KeyRing, NewKey, Scope
from autobot.web.auth import outlive_key, presented_key, require
from deployments.main.documentation import documentation_routes


class Cluster(Protocol):
    """What these routes need of the cluster."""

    async def nodes(self) -> list[dict[str, Any]]: ...
    async def create_key(self, request: NewKey) -> tuple[str, KeyRecord]: ...
    async def revoke_key(self, key_id: str) -> KeyRecord: ...
    async def key_records(self) -> list[dict[str, Any]]: ...
    async def snapshot(self) -> bytes: ...
    async def openapi(self) -> list[dict[str, Any]]: ...


class KeyInfo(BaseModel):
    """A key without what could be used to forge it."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created: float
    expires: float | None
    allow_domains: tuple[str, ...] = Field(description="Empty: its pages reach any domain.")
    deny_domains: tuple[str, ...]


class CreatedKey(KeyInfo):
    """``key`` is shown this once; only its hash is stored."""

    key: str


def platform_routes(monitor: HealthMonitor, cluster: Cluster, keys: KeyRing) -> APIRouter:
    router = APIRouter()
    router.include_router(_state(monitor, cluster, keys))
    router.include_router(_keys(cluster, keys))
    router.include_router(documentation_routes(cluster.openapi))
    return router


def _state(monitor: HealthMonitor, cluster: Cluster, keys: KeyRing) -> APIRouter:
    router = APIRouter(tags=["platform"])

    @router.get("/api/health")
    async def health(request: Request) -> dict[str, Any]:
        """Without a key one word; with one, every room. Never waits for a room that is away."""
        try:
            keys.check(presented_key(request), "read")
        except Unauthenticated:
            if presented_key(request):
                raise
            return {"state": monitor.health.state}
        return monitor.health.model_dump()

    @router.get("/api/cluster", dependencies=[Depends(require("read"))])
    async def nodes() -> dict[str, Any]:
        """Nodes, the rooms on them, their replicas, devices and versions."""
        rooms = monitor.health.rooms
        return {
            "version": __version__,
            "nodes": await cluster.nodes(),
            "rooms": {name: room.model_dump() for name, room in rooms.items()},
        }

    @router.get("/api/backup", dependencies=[Depends(require("admin"))])
    async def backup() -> Response:
        """Redis' snapshot of this moment; `autobot backup` packs it with a manifest."""
        return Response(await cluster.snapshot(), media_type="application/octet-stream")

    return router


def _keys(cluster: Cluster, keys: KeyRing) -> APIRouter:
    router = APIRouter(prefix="/api/keys", tags=["keys"], dependencies=[Depends(require("admin"))])

    @router.get("")
    async def list_keys() -> list[KeyInfo]:
        return [KeyInfo.model_validate(record) for record in await cluster.key_records()]

    @router.post("", status_code=201)
    async def create_key(request: NewKey) -> CreatedKey:
        key, record = await cluster.create_key(request)
        await keys.refresh()
        return CreatedKey(key=key, **KeyInfo.model_validate(record.model_dump()).model_dump())

    @router.delete("/{key_id}")
    async def revoke_key(request: Request, key_id: str) -> KeyInfo:
        outlive_key(request)  # a key may revoke itself
        revoked = await cluster.revoke_key(key_id)
        await keys.refresh()
        return KeyInfo.model_validate(revoked.model_dump())

    return router
