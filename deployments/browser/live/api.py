"""`/api/browser/sessions/{id}/live`: a session's screen over a WebSocket, and hands on it.

The key goes in a header, or as the subprotocols ``autobot, autobot.key.KEY``.

From the server:

    binary                                   a JPEG picture of the newest tab
    {"type": "screen", "width", "height"}    before the picture it is about, whenever it changes:
                                             the page's size in CSS pixels
    {"type": "state", "wheel", "tabs"}       whenever it changes; wheel is "you", "person", "agent"
    {"type": "refused", "reason"}            an input without the wheel, one not understood, or an
                                             address that did not open
    {"type": "copied", "text"}               the answer to "copy"
    {"type": "ended", "reason"}              then the socket closes

From the client:

    {"type": "ack"}                          a picture has been shown: at most two are on the way
    {"type": "take"}, {"type": "release"}    the wheel; while a person has it, actions wait
    {"type": "move" | "down" | "up", "x", "y", "button", "clicks"}      in CSS pixels of the page
    {"type": "wheel", "x", "y", "dx", "dy"}
    {"type": "key_down" | "key_up", "key"}   Playwright's names: "Enter", "a", "Shift"
    {"type": "text", "text"}                 as if pasted
    {"type": "goto", "url" | "history"}      as the action; another one takes its place
    {"type": "copy"}                         asks for the text that is selected in the page

A viewer who acknowledges nothing gets no more pictures. The wheel is free again when its viewer
goes, lets go, or does nothing for three minutes.
"""

import asyncio
import contextlib
import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from autobot.errors import AutoBotError, Conflict
from deployments.browser.actions import Goto
from deployments.browser.engine import Input
from deployments.browser.sessions.service import Record, Sessions
from deployments.browser.websocket_auth import admitted, refuse, spoken

MAX_VIEWERS = 8
IN_FLIGHT = 2
STATE_EVERY_S = 0.25

Hand = Literal["move", "down", "up", "wheel", "key_down", "key_up", "text"]
Position = Annotated[float, Field(ge=-100_000, le=100_000)]


class Said(BaseModel):
    """One message of a viewer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["ack", "take", "release", "goto", "copy", Hand]
    x: Position = 0
    y: Position = 0
    dx: Position = 0
    dy: Position = 0
    button: Literal["left", "right", "middle"] = "left"
    clicks: int = Field(default=1, ge=0, le=3)
    key: str = Field(default="", max_length=40)
    text: str = Field(default="", max_length=10_000)
    url: str | None = None
    history: Literal["back", "forward", "reload"] | None = None

    def input(self) -> Input:
        """Return it for `Session.input`; only the types of `Hand` are inputs."""
        given = self.model_dump(exclude={"type", "url", "history"})
        return Input(kind=self.type, **given)


SAID = TypeAdapter(Said)


class Viewer:
    """One person watching, and perhaps driving, one session."""

    def __init__(self, websocket: WebSocket, sessions: Sessions, record: Record) -> None:
        self._websocket = websocket
        self._sessions = sessions
        self._record = record
        self._visit: asyncio.Task[None] | None = None
        self._name = secrets.token_hex(8)
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._owed = 0

    async def serve(self) -> None:
        """Send and receive until the viewer goes or the session ends."""
        tasks = [asyncio.ensure_future(w()) for w in (self._show, self._listen, self._report)]
        self._record.viewers += 1
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._record.viewers -= 1
            self._record.wheel.release(self._name)
            if self._visit is not None:
                tasks.append(self._visit)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, kind: str, **said: Any) -> None:
        await self._websocket.send_json({"type": kind, **said})

    async def _show(self) -> None:
        """Send pictures, each only when fewer than `IN_FLIGHT` are unacknowledged.

        The pictures in between are never made: Chromium waits for us as we wait for the viewer.
        """
        size = (0, 0)
        frames = self._record.session.frames()
        async with contextlib.aclosing(frames):
            async for frame in frames:
                if (frame.width, frame.height) != size:
                    size = (frame.width, frame.height)
                    await self._send("screen", width=frame.width, height=frame.height)
                await self._slots.acquire()
                self._owed += 1
                await self._websocket.send_bytes(frame.jpeg)

    async def _listen(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                text = await self._websocket.receive_text()
                try:
                    await self._heed(SAID.validate_json(text))
                except ValidationError:
                    await self._send("refused", reason="This message is not understood.")
                except AutoBotError as error:
                    await self._send("refused", reason=error.detail)

    async def _heed(self, said: Said) -> None:
        wheel = self._record.wheel
        if said.type == "ack":
            if self._owed:
                self._owed -= 1
                self._slots.release()
        elif said.type == "take":
            wheel.take(self._name)
        elif said.type == "release":
            wheel.release(self._name)
        elif not wheel.touch(self._name):
            raise Conflict("Take the wheel first.")
        elif said.type == "goto":
            await self._go(Goto(url=said.url, history=said.history))
        elif said.type == "copy":
            await self._send("copied", text=await self._record.session.selection())
        else:
            await self._record.session.input(said.input())

    async def _go(self, action: Goto) -> None:
        """Begin to load a page, instead of the one that is still on its way."""
        if self._visit is not None:
            self._visit.cancel()
            await asyncio.gather(self._visit, return_exceptions=True)
        self._visit = asyncio.ensure_future(self._load(action))

    async def _load(self, action: Goto) -> None:
        try:
            await self._sessions.drive(self._record, self._name, action)
        except AutoBotError as error:
            await self._send("refused", reason=error.detail)

    async def _report(self) -> None:
        shown: dict[str, Any] = {}
        while True:
            state = {"wheel": self._wheel(), "tabs": self._record.session.state().tabs}
            if state != shown:
                shown = state
                await self._send("state", **state)
            if self._record.finished:
                await self._send("ended", reason=self._record.finished)
                return
            await asyncio.sleep(STATE_EVERY_S)

    def _wheel(self) -> str:
        if not self._record.wheel.held():
            return "agent"
        return "you" if self._record.wheel.holder == self._name else "person"


def live_routes(sessions: Sessions) -> APIRouter:
    """Return the route of the WebSocket on which a person watches and drives a session."""
    router = APIRouter(prefix="/sessions")

    @router.websocket("/{session}/live")
    async def live(websocket: WebSocket, session: str) -> None:
        """Show a session's newest tab to a person, who may act in it: see this module.

        Needs scope `browser`; another key's session is 404 instead of a connection.
        """
        try:
            record = sessions.find(admitted(websocket, "browser").id, session)
            if record.viewers >= MAX_VIEWERS:
                raise Conflict(f"{MAX_VIEWERS} people are watching this session already.")
        except AutoBotError as error:
            await refuse(websocket, error)
            return
        await websocket.accept(subprotocol=spoken(websocket))
        await Viewer(websocket, sessions, record).serve()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close()

    return router
