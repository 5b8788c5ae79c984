"""The agent's tools: one session, used as everybody else uses it.

While a person has the wheel an action waits; nothing here knows how to get around that.
"""

import asyncio
import contextlib
from typing import Any
from urllib.parse import urljoin

from autobot.errors import AutoBotError, Timeout, Unavailable
from deployments.browser import actions as a
from deployments.browser.agent.observation.thumbnail import thumbnail
from deployments.browser.agent.observation.view import View, view_of
from deployments.browser.agent.steps import Do
from deployments.browser.errors import PageFailed, SessionEnded, WheelTaken
from deployments.browser.sessions.service import Record, Sessions

ACT_S = 10.0
LOAD_S = 30.0
SETTLE_S = 5.0
LOOKS = 3
"""A page that is being left has no snapshot: look again so often."""
SNAPSHOT_TOKENS = 50_000
"""All of the page: what the model is shown of it is cut afterwards, by lines it can ask for."""
PICTURE = a.Screenshot(format="jpeg", quality=40, timeout_s=5)


class BrowserTools:
    """Looks at one session's newest tab and acts in it.

    Raises `SessionEnded` when the session is gone or its browser crashed, else as actions do.
    """

    def __init__(self, sessions: Sessions, record: Record) -> None:
        self._sessions = sessions
        self.record = record

    async def _act(self, action: a.Action) -> Any:
        try:
            rendered = await self._sessions.act(self.record.owner, self.record.id, action)
        except Unavailable as error:
            raise SessionEnded(f"The task's browser is gone: {error.detail}") from error
        return rendered.json() if rendered.media_type == "application/json" else rendered.body

    def alive(self) -> None:
        """Raise `SessionEnded` when there is nothing left to act in."""
        self._sessions.find(self.record.owner, self.record.id)

    async def open(self, url: str) -> None:
        """Go to ``url`` in the newest tab and wait until it has loaded, which may take `LOAD_S`."""
        await self._act(a.Goto(url=url, timeout_s=LOAD_S))

    async def look(self) -> View:
        """Return the page as it is now."""
        for attempt in range(LOOKS):
            try:
                seen = await self._act(a.Snapshot(tokens=SNAPSHOT_TOKENS, timeout_s=LOAD_S))
                return view_of(seen["tree"], seen["url"], seen["title"])
            except (SessionEnded, WheelTaken):
                raise
            except AutoBotError:
                if attempt == LOOKS - 1:
                    raise
                await asyncio.sleep(0.3)
        raise PageFailed

    async def read(self) -> str:
        """Return the page's readable text."""
        text: bytes = await self._act(a.Markdown(links=False, timeout_s=LOAD_S))
        return text.decode()

    async def picture(self) -> str | None:
        """Return a small JPEG in base64; None when the page cannot be pictured now."""
        try:
            jpeg: bytes = await self._act(PICTURE)
        except SessionEnded:
            raise
        except AutoBotError:
            return None
        return await asyncio.to_thread(thumbnail, jpeg)

    async def do(self, step: Do, here: str) -> None:
        """Do ``step`` on the page at ``here`` and wait until what it began has loaded."""
        await self._act(_action(step, here))
        if step.kind in ("click", "type", "select"):
            await self._settle()

    async def _settle(self) -> None:
        with contextlib.suppress(Timeout):  # a page that goes on loading is looked at as it is
            await self._act(a.Wait(seconds=0.1, timeout_s=SETTLE_S))
            await self._act(a.Wait(load="load", timeout_s=SETTLE_S))


def _action(step: Do, here: str) -> a.Action:
    match step.kind:
        case "click":
            return a.Click(ref=step.ref, timeout_s=ACT_S)
        case "type":
            press = "Enter" if step.submit else None
            return a.Type(ref=step.ref, text=step.text, press=press, timeout_s=ACT_S)
        case "select":
            return a.Select(ref=step.ref, values=[step.text], timeout_s=ACT_S)
        case "scroll":
            return a.Scroll(y=600 if step.text == "down" else -600, timeout_s=ACT_S)
        case "goto":
            return a.Goto(url=urljoin(here, step.text.strip()), timeout_s=LOAD_S)
        case "back":
            return a.Goto(history="back", timeout_s=LOAD_S)
        case "wait":
            return a.Wait(seconds=2, timeout_s=ACT_S)
        case _:
            raise ValueError(step.kind)
