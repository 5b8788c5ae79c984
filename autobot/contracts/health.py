"""What a replica says of itself to room main, and what the platform concludes from it."""

from typing import Any, Literal, Protocol

from pydantic import BaseModel, Field

State = Literal["ok", "degraded", "down"]


class RoomReport(BaseModel, frozen=True):
    """One replica's own account, taken at the moment of the probe.

    ``device`` is what the engine says ran, never what was asked for; None where a room has none.
    """

    room: str
    app: str
    state: State
    reason: str | None = None
    device: str | None = None
    models: list[str] = Field(default_factory=list)
    version: str
    node_id: str
    address: str
    pid: int
    uptime_s: float
    facts: dict[str, Any] = Field(default_factory=dict)


class NodeRef(BaseModel, frozen=True):
    id: str
    address: str


class VmHealth(BaseModel, frozen=True):
    """What one VM of a room says; ``facts`` are of it alone."""

    node: NodeRef
    state: State
    reason: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)


class RoomHealth(BaseModel, frozen=True):
    """A room as `GET /api/health` shows it; ``since`` is when it entered this state (ISO 8601).

    ``node``, ``device`` and ``facts`` are those of the first of its ``vms``.
    """

    room: str
    state: State
    since: str
    reason: str | None = None
    latency_ms: float | None = None
    node: NodeRef | None = None
    replicas: int = 0
    device: str | None = None
    models: list[str] = Field(default_factory=list)
    version: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    vms: list[VmHealth] = Field(default_factory=list[VmHealth])


class PlatformHealth(BaseModel, frozen=True):
    state: State
    version: str
    rooms: dict[str, RoomHealth]


class Replica(Protocol):
    """What room main asks replicas: `probe` of every room's, the rest of those that answer HTTP."""

    async def probe(self) -> RoomReport:
        """Never raises: what is wrong is its report."""
        ...

    async def take_keys(self) -> str | None:
        """Fetch the keys because they have changed; this VM's address, or None when it failed."""
        ...

    async def openapi(self) -> dict[str, Any]:
        """This application's part of the platform's OpenAPI document."""
        ...
