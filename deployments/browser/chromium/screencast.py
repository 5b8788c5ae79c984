"""A tab's screen as pictures, and a person's hands on it."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page as Tab

from deployments.browser.chromium.open_session import OpenSession
from deployments.browser.engine import MOST_SELECTED, Frame, Input

QUALITY = 60
MAX_WIDTH, MAX_HEIGHT = 1600, 1200
SELECTED = """most => {
    const field = document.activeElement;
    const inside = field && typeof field.value === "string" && field.type !== "password"
        ? field.value.slice(field.selectionStart ?? 0, field.selectionEnd ?? 0) : "";
    return (inside || String(getSelection() ?? "")).slice(0, most);
}"""
"""In a text field the selection is the field's own, and the document's is empty."""
LOOK_S = 0.5
"""How often a still screen is checked for another tab having become the newest."""


class Screencast:
    """Chromium's pictures of one tab. It sends the next only after this one is acknowledged."""

    def __init__(self, cdp: CDPSession) -> None:
        self._cdp = cdp
        self._came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> "Screencast":
        self._cdp.on("Page.screencastFrame", self._came.put_nowait)
        bounds = {"maxWidth": MAX_WIDTH, "maxHeight": MAX_HEIGHT}
        await self._cdp.send(
            "Page.startScreencast", {"format": "jpeg", "quality": QUALITY, **bounds}
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(PlaywrightError):  # the tab may be gone
            await self._cdp.detach()

    async def next(self) -> Frame | None:
        """Return the newest picture, None when the screen stood still for `LOOK_S`."""
        try:
            async with asyncio.timeout(LOOK_S):
                event = await self._came.get()
        except TimeoutError:
            return None
        while not self._came.empty():
            await self._acknowledge(event)
            event = self._came.get_nowait()
        await self._acknowledge(event)
        about = event["metadata"]
        size = int(about["deviceWidth"]), int(about["deviceHeight"])
        return Frame(base64.b64decode(event["data"]), *size)

    async def _acknowledge(self, event: dict[str, Any]) -> None:
        await self._cdp.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})


async def frames(session: OpenSession) -> AsyncGenerator[Frame, None]:
    """Yield pictures of the session's newest tab, for ever; follows it to another tab."""
    while not session.ended.is_set():
        tab = session.newest
        if tab is None:
            await asyncio.sleep(LOOK_S)
            continue
        with contextlib.suppress(PlaywrightError):
            async with Screencast(await session.context.new_cdp_session(tab)) as cast:
                while session.newest == tab and not session.ended.is_set():
                    if frame := await cast.next():
                        yield frame
        await asyncio.sleep(0.05)  # a tab that closes ends the cast before it ends being newest


async def send(tab: Tab, event: Input) -> None:
    """Do what a person did. Positions are in CSS pixels of the viewport."""
    button: Any = event.button
    match event.kind:
        case "move":
            await tab.mouse.move(event.x, event.y)
        case "down":
            await tab.mouse.move(event.x, event.y)
            await tab.mouse.down(button=button, click_count=event.clicks)
        case "up":
            await tab.mouse.up(button=button, click_count=event.clicks)
        case "wheel":
            await tab.mouse.move(event.x, event.y)
            await tab.mouse.wheel(event.dx, event.dy)
        case "key_down":
            await tab.keyboard.down(event.key)
        case "key_up":
            await tab.keyboard.up(event.key)
        case _:
            await tab.keyboard.insert_text(event.text)


async def selection(tab: Tab) -> str:
    """The selected text of the first frame that has any."""
    # A page may make its own `getSelection` and never return from it.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_S):
            for frame in tab.frames:
                with contextlib.suppress(PlaywrightError):  # it may be gone
                    if text := await frame.evaluate(SELECTED, MOST_SELECTED):
                        # The page may have its own `slice`; half a surrogate pair cannot be sent.
                        return str(text)[:MOST_SELECTED].encode(errors="replace").decode()
    return ""
