"""A browser without Chromium: the same bounds, the same address policy, pictures of one colour.

It understands ``background:#rrggbb`` and, as a page that never ends, ``while(true)``; a JPEG or a
PDF of it is a header. It loads nothing from the network.
"""

import asyncio
import re
import struct
import zlib
from collections.abc import AsyncGenerator
from typing import Any, Literal

from autobot.errors import NotFound, Unavailable
from deployments.browser.actions import Action, Content, Goto, Pdf, Screenshot, Wait
from deployments.browser.egress.connector import Connector
from deployments.browser.engine import (
    MOST_SELECTED,
    Frame,
    Input,
    Page,
    Rendered,
    SessionSpec,
    SessionState,
    told,
)
from deployments.browser.limiter import JobLimiter

ENGINE, DEVICE = "fake/1", "none"
JPEG = b"\xff\xd8\xff\xd9"


def png(width: int, height: int, colour: bytes) -> bytes:
    """Return a PNG of one RGB ``colour``."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + colour * width) * height)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def picture(action: Action, width: int, height: int, html: str) -> Rendered:
    """Return an answer of the action's kind; only a PNG is whole, with size and colour."""
    if isinstance(action, Pdf):
        return Rendered(b"%PDF-1.4\n%%EOF\n", "application/pdf", ENGINE, DEVICE)
    if isinstance(action, Content):
        return Rendered(html.encode(), "text/html", ENGINE, DEVICE)
    if not isinstance(action, Screenshot):
        return Rendered(b"{}", "application/json", ENGINE, DEVICE)
    found = re.search(r"background:\s*#([0-9a-f]{6})", html)
    colour = bytes.fromhex(found[1]) if found else b"\xff\xff\xff"
    body = png(width, height, colour) if action.format == "png" else JPEG
    return Rendered(body, f"image/{action.format}", ENGINE, DEVICE)


class FakeSession:
    """Serves the `Session` contract: it remembers where it was told to go."""

    def __init__(self, connector: Connector, spec: SessionSpec, ended: asyncio.Event) -> None:
        self.ended = ended
        self.url = "about:blank"
        self.inputs: list[Input] = []
        self.closed = False
        self._connector = connector
        self._spec = spec

    async def act(self, action: Action) -> Rendered:
        if self.ended.is_set():
            raise Unavailable("The browser crashed while it rendered this page.")
        if isinstance(action, Goto) and action.url is not None:
            await self._connector.admit_url(action.url)
            self.url = action.url
            return told({"url": self.url, "status": 200})
        if isinstance(action, Wait) and action.seconds:
            await asyncio.sleep(action.seconds)
        return picture(action, self._spec.width, self._spec.height, "")

    def state(self) -> SessionState:
        return SessionState(tabs=[{"tab": 0, "url": self.url, "newest": True}])

    async def storage(self) -> dict[str, Any]:
        return self._spec.storage or {"cookies": [], "origins": []}

    async def download(self, number: int) -> Rendered:
        raise NotFound(f"There is no download {number}.")

    async def recording(self, kind: Literal["trace", "video"]) -> Rendered:
        if not (self._spec.trace if kind == "trace" else self._spec.video):
            raise NotFound(f"This session records no {kind}: ask for it when opening it.")
        return Rendered(b"", "application/octet-stream", filename=kind)

    async def frames(self) -> AsyncGenerator[Frame, None]:
        while not self.ended.is_set():
            yield Frame(JPEG, self._spec.width, self._spec.height)
            await asyncio.sleep(0.01)

    async def input(self, event: Input) -> None:
        self.inputs.append(event)

    async def selection(self) -> str:
        return "".join(event.text for event in self.inputs)[:MOST_SELECTED]

    async def close(self) -> None:
        self.closed = True


class FakeBrowser:
    """Serves the `Browser` contract. `crash` fails what is running, as a dead process would."""

    def __init__(self, connector: Connector, running: int = 4, waiting: int = 16) -> None:
        self.connector = connector
        self.sessions: list[FakeSession] = []
        self._limiter = JobLimiter(running, waiting)
        self._crashed = asyncio.Event()

    def start(self) -> None:
        self._crashed = asyncio.Event()

    async def close(self) -> None:
        self._crashed.set()

    async def crash(self) -> None:
        """Fail what is running and end the sessions; what comes next works again."""
        self._crashed.set()
        self._crashed = asyncio.Event()

    async def once(self, page: Page, action: Action) -> Rendered:
        async with self._limiter.slot(page.owner, page.timeout_s):
            if page.url is not None:
                await self.connector.within(page.key_domains).admit_url(page.url)
            if "while(true)" in (page.html or ""):
                await self._crashed.wait()
                raise Unavailable("The browser crashed while it rendered this page.")
        return picture(action, page.width, page.height, page.html or "")

    async def open(self, spec: SessionSpec) -> FakeSession:
        session = FakeSession(
            self.connector.within(spec.key_domains, spec.domains), spec, self._crashed
        )
        self.sessions.append(session)
        return session

    async def facts(self) -> dict[str, Any]:
        return {"device": DEVICE, "engine": ENGINE, "active": self._limiter.active}
