"""What the routes of sessions answer."""

from pydantic import BaseModel, Field


class Tab(BaseModel):
    """An open tab. ``newest`` is the one that actions without a number use."""

    tab: int
    url: str
    newest: bool


class SessionFile(BaseModel):
    """A file that the session downloaded, by its number."""

    number: int
    filename: str


class Dialog(BaseModel):
    """What a page said in a dialog that was answered for it."""

    kind: str
    message: str


class SessionInfo(BaseModel):
    """An open session: times in seconds, ``created`` a Unix time.

    ``node`` is the VM it lives on, None where the id does not say; ``wheel`` is who drives,
    ``person`` or ``agent``; ``blocked`` are addresses it was refused.
    """

    id: str
    node: str | None
    created: float
    idle_s: float
    expires_in_s: float
    idle_for_s: float
    wheel: str
    viewers: int
    profile: str | None
    tabs: list[Tab]
    downloads: list[SessionFile]
    dialogs: list[Dialog]
    blocked: list[str]


class SessionList(BaseModel):
    """The sessions of a key, the oldest first."""

    sessions: list[SessionInfo]
    unreachable: list[str] = Field(
        description="Addresses of the room's VMs whose sessions are missing here."
    )
