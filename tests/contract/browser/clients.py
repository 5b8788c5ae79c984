"""A room on a port, and protocol clients that leave nothing of themselves behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from playwright.async_api import Browser, Playwright

from autobot.keys import NewKey, make_key
from deployments.browser.room import BrowserRoom

KEY, RECORD = make_key(NewKey(name="a", scopes=("browser", "browser:evaluate")))
PLAIN_KEY, PLAIN = make_key(NewKey(name="b", scopes=("browser",)))
LISTED_KEY, LISTED = make_key(
    NewKey(name="c", scopes=("browser", "browser:evaluate"), allow_domains=("example.com",))
)


class Served(NamedTuple):
    """A room on a port of its own, and the site it may visit."""

    room: BrowserRoom
    port: int
    site: str

    def url(self, kind: str, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/api/browser/{kind}{query}"


async def until(true: Callable[[], bool], patience_s: float = 30) -> None:
    """Wait for a condition; TimeoutError when it does not come true."""
    async with asyncio.timeout(patience_s):
        while not true():  # noqa: ASYNC110  what is waited for happens in other processes
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def connected(
    playwright: Playwright, served: Served, kind: str, key: str = KEY, query: str = ""
) -> AsyncIterator[Browser]:
    """A client's browser. Afterwards the room has forgotten it: to the client a connection is over
    when it has said so, to the room when processes have ended and files are gone.
    """
    inside = served.room.sessions.admission.inside
    headers = {"Authorization": f"Bearer {key}"}
    url = served.url(kind, f"?{query}")
    if kind == "cdp":
        browser = await playwright.chromium.connect_over_cdp(url, headers=headers)
    else:
        browser = await playwright.chromium.connect(url, headers=headers)
    try:
        yield browser
    finally:
        await browser.close()
        await until(lambda: served.room.sessions.admission.inside <= inside)
