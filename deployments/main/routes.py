"""The platform's own endpoints: health, cluster, keys, documentation."""

from typing import Any, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from autobot import __version__
from autobot.contracts.backup import Backup
from autobot.contracts.keys import Keys
from autobot.errors import NotFound, Unauthenticated, Unavailable
from autobot.health import HealthMonitor
from autobot.keys import KeyRecord, KeyRing, NewKey, Scope, make_key
from autobot.web.auth import outlive_key, presented_key, require
from deployments.main.documentation import documentation_routes


class Cluster(Protocol):
    """What these routes need of the cluster."""

    async def nodes(self) -> list[dict[str, Any]]: ...
    async def spread_keys(self) -> list[str]: ...
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


class ChangedKey(KeyInfo):
    """A key that was made or revoked."""

    unconfirmed: list[str] = Field(
        description="Who has not said yet that it knows of the change; it will within ten seconds "
        "of reaching room redis. Empty: it holds everywhere.",
    )


class CreatedKey(ChangedKey):
    """``key`` is shown this once; only its hash is stored."""

    key: str


def platform_routes(
    monitor: HealthMonitor, cluster: Cluster, ring: KeyRing, keys: Keys, backup: Backup
) -> APIRouter:
    """``ring`` is what this replica accepts, ``keys`` what room redis keeps."""
    router = APIRouter()
    router.include_router(_state(monitor, cluster, ring, backup))
    router.include_router(_keys(cluster, keys))
    router.include_router(documentation_routes(cluster.openapi))
    return router


def _state(monitor: HealthMonitor, cluster: Cluster, ring: KeyRing, data: Backup) -> APIRouter:
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
        return Response(await data.snapshot(), media_type="application/octet-stream")

    return router


def _keys(cluster: Cluster, keys: Keys) -> APIRouter:
    router = APIRouter(prefix="/api/keys", tags=["keys"], dependencies=[Depends(require("admin"))])

    @router.get("")
    async def list_keys() -> list[KeyInfo]:
        return [KeyInfo(**_public(record)) for record in await keys.records()]

    @router.post("", status_code=201)
    async def create_key(request: NewKey) -> CreatedKey:
        key, record = make_key(request)
        try:
            await keys.add(record)
        except Unavailable:
            await _forget(keys, record)
            raise
        unconfirmed = await cluster.spread_keys()
        return CreatedKey(key=key, unconfirmed=unconfirmed, **_public(record))

    @router.delete("/{key_id}")
    async def revoke_key(request: Request, key_id: str) -> ChangedKey:
        outlive_key(request)  # a key may revoke itself
        revoked = await keys.revoke(key_id)
        return ChangedKey(unconfirmed=await cluster.spread_keys(), **_public(revoked))

    return router


async def _forget(keys: Keys, record: KeyRecord) -> None:
    """A key that nobody was shown must not stay: the write may have been made before its end.

    Raises `Unavailable` with the key's id when that cannot be told.
    """
    try:
        await keys.revoke(record.id)
    except NotFound:
        return
    except Unavailable as error:
        raise Unavailable(
            f"{error.detail} Whether the key '{record.id}' was made is not known: if it is listed, "
            "revoke it. Nobody was shown it."
        ) from error


def _public(record: KeyRecord) -> dict[str, Any]:
    return KeyInfo.model_validate(record.model_dump()).model_dump()
