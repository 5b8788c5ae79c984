"""What the room asks of a browser: two one-shot jobs and a true account of itself."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from autobot.errors import AutoBotError

WaitUntil = Literal["commit", "domcontentloaded", "load", "networkidle"]
ImageFormat = Literal["png", "jpeg"]
Paper = Literal["A3", "A4", "A5", "Legal", "Letter"]

MAX_IMAGE_PIXELS = 50_000_000


class PageFailed(AutoBotError):
    """The page could not be loaded."""

    status = 502
    type = "page-failed"


@dataclass(frozen=True)
class Page:
    """What to open: exactly one of ``url`` and ``html``. Sizes are CSS pixels, times seconds."""

    url: str | None = None
    html: str | None = None
    width: int = 1280
    height: int = 720
    wait_until: WaitUntil = "load"
    timeout_s: float = 30.0


@dataclass(frozen=True)
class ScreenshotJob:
    """A picture of the viewport, or of the ``full_page`` up to `MAX_IMAGE_PIXELS`."""

    page: Page
    full_page: bool = False
    format: ImageFormat = "png"


@dataclass(frozen=True)
class PdfJob:
    """The page as printed."""

    page: Page
    paper: Paper = "A4"
    landscape: bool = False


@dataclass(frozen=True)
class Rendered:
    """The bytes and where they came from. ``page_status`` is the HTTP status of a visited URL."""

    body: bytes
    media_type: str
    engine: str
    device: str
    page_status: int | None = None


class Browser(Protocol):
    """One-shot jobs, each in a fresh context that shares nothing with any other.

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

    async def screenshot(self, job: ScreenshotJob) -> Rendered: ...

    async def pdf(self, job: PdfJob) -> Rendered: ...

    async def facts(self) -> dict[str, Any]:
        """Return device, engine, sandbox, user and load; raises when the browser is not well."""
        ...
