"""What the room asks of a browser: one-shot jobs, sessions, and a true account of itself."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from deployments.browser.actions import Action, WaitUntil
from deployments.browser.egress.policy import Domains

MAX_IMAGE_PIXELS = 50_000_000


@dataclass(frozen=True)
class Page:
    """What to open: exactly one of ``url`` and ``html``. Sizes are CSS pixels, times seconds.

    ``key_domains`` are the lists of the API key that asks, ``owner`` is its id.
    """

    url: str | None = None
    html: str | None = None
    width: int = 1280
    height: int = 720
    wait_until: WaitUntil = "load"
    timeout_s: float = 30.0
    key_domains: Domains = field(default_factory=Domains)
    owner: str = ""


@dataclass(frozen=True)
class SessionSpec:
    """How a session's browser context differs from any other's.

    It keeps to its own ``domains`` and to ``key_domains``, those of the API key ``owner``.
    """

    width: int = 1280
    height: int = 720
    locale: str | None = None
    timezone: str | None = None
    user_agent: str | None = None
    storage: dict[str, Any] | None = None
    dialogs: Literal["accept", "dismiss"] = "dismiss"
    domains: Domains = field(default_factory=Domains)
    key_domains: Domains = field(default_factory=Domains)
    owner: str = ""
    trace: bool = False
    video: bool = False


@dataclass(frozen=True)
class Rendered:
    """The bytes and where they came from. ``page_status`` is the HTTP status of a visited URL."""

    body: bytes
    media_type: str
    engine: str = ""
    device: str = ""
    page_status: int | None = None
    filename: str | None = None

    def json(self) -> Any:
        """Read ``body`` as JSON. Raises ValueError for a picture or a document."""
        return json.loads(self.body)


def told(data: Any) -> Rendered:
    """Return ``data`` as a JSON answer."""
    return Rendered(json.dumps(data, ensure_ascii=False).encode(), "application/json")


@dataclass(frozen=True)
class Frame:
    """One picture of a live session: JPEG bytes, and the page's size in CSS pixels."""

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Input:
    """What a person did: sizes and positions in CSS pixels of the page.

    ``kind`` is one of move, down, up, wheel, key_down, key_up, text.
    """

    kind: str
    x: float = 0
    y: float = 0
    dx: float = 0
    dy: float = 0
    button: str = "left"
    clicks: int = 1
    key: str = ""
    text: str = ""


MOST_SELECTED = 100_000


@dataclass
class SessionState:
    """What a session looks like from outside."""

    tabs: list[dict[str, Any]] = field(default_factory=list)
    downloads: list[dict[str, Any]] = field(default_factory=list)
    dialogs: list[dict[str, str]] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)


class Session(Protocol):
    """One isolated browser context. Actions raise as `Browser` says, and `ElementFailed`."""

    @property
    def ended(self) -> asyncio.Event:
        """Set when the browser under it is gone."""
        ...

    async def act(self, action: Action) -> Rendered:
        """Do ``action``; one at a time, the caller sees to that."""
        ...

    def state(self) -> SessionState:
        """Return its tabs and downloads by number, its dialogs, and what it was refused."""
        ...

    async def storage(self) -> dict[str, Any]:
        """Cookies and local storage, as `SessionSpec.storage` takes them."""
        ...

    async def download(self, number: int) -> Rendered:
        """Return a file the session has downloaded."""
        ...

    async def recording(self, kind: Literal["trace", "video"]) -> Rendered:
        """Return what has been recorded since the last call: a zip for Playwright, or WebM."""
        ...

    def frames(self) -> AsyncGenerator[Frame, None]:
        """Pictures of the newest tab whenever it changes; a slow reader gets fewer."""
        ...

    async def input(self, event: Input) -> None:
        """Do in the newest tab what a person did, beside what an action does there."""
        ...

    async def selection(self) -> str:
        """The text that is selected in the newest tab, at most `MOST_SELECTED` characters."""
        ...

    async def close(self) -> None:
        """End it with its tabs, downloads and recordings, also when its browser is gone."""
        ...


class Browser(Protocol):
    """One-shot jobs and sessions, each in a fresh context that shares nothing with any other.

    Every job raises `BlockedAddress` for an address a page may not reach, `PageFailed` for a page
    that does not load, `Timeout` past its deadline, `Busy` when the queue is full, and
    `Unavailable` when the browser crashed under it.
    """

    def start(self) -> None:
        """Begin launching; jobs wait for it within their own deadline."""
        ...

    async def close(self) -> None:
        """End the browser and everything it started."""
        ...

    async def once(self, page: Page, action: Action) -> Rendered:
        """Open ``page`` in a context of its own, do ``action``, and throw the context away."""
        ...

    async def open(self, spec: SessionSpec) -> Session:
        """Open a session with one empty tab. Whoever opens it closes it."""
        ...

    async def facts(self) -> dict[str, Any]:
        """Return device, engine, sandbox, user and load; raises when the browser is not well."""
        ...
