"""Recordings of a session: Playwright's trace, and a video of the screen."""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Literal

from playwright.async_api import BrowserContext, ScreencastFrame
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page as Tab

from autobot.errors import NotFound, TooLarge
from deployments.browser.chromium.files import MAX_FILE_BYTES, read_bounded
from deployments.browser.chromium.video import Film
from deployments.browser.engine import Rendered, SessionSpec


class Recorder:
    """Starts what ``spec`` asks for. Taking a recording begins the next one."""

    def __init__(self, context: BrowserContext, spec: SessionSpec) -> None:
        self._context = context
        self._spec = spec
        self._film = Film(spec.width, spec.height) if spec.video else None

    async def begin(self) -> None:
        """Start to record; called before the first tab opens, so that it is recorded too."""
        if self._spec.trace:
            await self._context.tracing.start(screenshots=True, snapshots=True)
            await self._context.tracing.start_chunk()
        if self._film is not None:
            self._context.on("page", self._watch)

    async def _watch(self, tab: Tab) -> None:
        """Film ``tab``: several tabs of a session follow each other in one film."""
        film = self._film
        assert film is not None

        async def add(frame: ScreencastFrame) -> None:
            await asyncio.to_thread(film.add, frame["data"], frame["timestamp"] / 1000)

        with contextlib.suppress(PlaywrightError):
            await tab.screencast.start(
                on_frame=add, size={"width": self._spec.width, "height": self._spec.height}
            )

    async def take(self, kind: Literal["trace", "video"]) -> Rendered:
        """Return what was recorded since the last call, and go on with a new recording.

        Raises `NotFound` for a kind the session does not record, `TooLarge` when there is too much:
        that part is lost then.
        """
        body = await (self._trace() if kind == "trace" else self._video())
        if body is None:
            raise TooLarge(f"The {kind} is larger than {MAX_FILE_BYTES >> 20} MiB.")
        if kind == "trace":
            return Rendered(body, "application/zip", filename="trace.zip")
        return Rendered(body, "video/webm", filename="session.webm")

    async def _trace(self) -> bytes | None:
        if not self._spec.trace:
            raise NotFound("This session records no trace: ask for it when opening it.")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.zip"
            await self._context.tracing.stop_chunk(path=path)
            await self._context.tracing.start_chunk()
            return await asyncio.to_thread(read_bounded, path.parent, path.name)

    async def _video(self) -> bytes | None:
        if self._film is None:
            raise NotFound("This session records no video: ask for it when opening it.")
        return await asyncio.to_thread(self._film.cut)

    async def close(self) -> None:
        """Throw the film away; the trace ends with its context."""
        if self._film is not None:
            await asyncio.to_thread(self._film.close)
