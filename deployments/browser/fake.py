"""A browser without Chromium: the same bounds, the same address policy, pictures of one colour.

It understands ``background:#rrggbb`` and, as a page that never ends, ``while(true)``; a JPEG or a
PDF of it is a header. It loads nothing from the network.
"""

import asyncio
import re
import struct
import zlib
from typing import Any

from autobot.errors import Unavailable
from deployments.browser.dial import Dialer, unreachable
from deployments.browser.egress import target_of
from deployments.browser.engine import Page, PdfJob, Rendered, ScreenshotJob
from deployments.browser.gate import Gate

ENGINE, DEVICE = "fake/1", "none"


def png(width: int, height: int, colour: bytes) -> bytes:
    """Return a PNG of one RGB ``colour``."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + colour * width) * height)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class FakeBrowser:
    """Serves the `Browser` contract. `crash` fails what is running, as a dead process would."""

    def __init__(self, dialer: Dialer, running: int = 4, waiting: int = 16) -> None:
        self._dialer = dialer
        self._gate = Gate(running, waiting)
        self._crashed = asyncio.Event()

    def start(self) -> None:
        self._crashed.clear()

    async def close(self) -> None:
        self._crashed.set()

    async def crash(self) -> None:
        self._crashed.set()
        self._crashed = asyncio.Event()

    async def screenshot(self, job: ScreenshotJob) -> Rendered:
        colour = await self._colour(job.page)
        body = b"\xff\xd8\xff\xd9"
        if job.format == "png":
            body = png(job.page.width, job.page.height, colour)
        return Rendered(body, f"image/{job.format}", ENGINE, DEVICE)

    async def pdf(self, job: PdfJob) -> Rendered:
        await self._colour(job.page)
        return Rendered(b"%PDF-1.4\n%%EOF\n", "application/pdf", ENGINE, DEVICE)

    async def facts(self) -> dict[str, Any]:
        return {"device": DEVICE, "engine": ENGINE, "active": self._gate.active}

    async def _colour(self, page: Page) -> bytes:
        async with self._gate.slot(page.timeout_s):
            if page.url is not None:
                await self._admit(page.url)
            if "while(true)" in (page.html or ""):
                await self._crashed.wait()
                raise Unavailable("The browser crashed while it rendered this page.")
        found = re.search(r"background:\s*#([0-9a-f]{6})", page.html or "")
        return bytes.fromhex(found[1]) if found else b"\xff\xff\xff"

    async def _admit(self, url: str) -> None:
        target = target_of(url)
        try:
            await self._dialer.admit(target)
        except (OSError, TimeoutError) as error:
            raise unreachable(target, error) from error
