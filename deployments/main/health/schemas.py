"""What the routes of the platform's health answer, beyond the contract of health."""

from pydantic import BaseModel, Field

from autobot.contracts.health import NodeRef, RoomHealth, State


class PlatformState(BaseModel):
    """All that is said without a key."""

    state: State


class NodeInfo(NodeRef, frozen=True):
    """A VM as Ray knows it: ``state`` is alive or dead, with Ray's ``reason`` for a death."""

    state: str
    reason: str | None
    rooms: list[str] = Field(description="The rooms that its resources pin to it.")
    cpus: float
    memory_bytes: int


class ClusterInfo(BaseModel):
    """``nodes`` are all that Ray knows, dead ones too; ``rooms`` as in `GET /api/health`."""

    version: str
    nodes: list[NodeInfo]
    rooms: dict[str, RoomHealth]
