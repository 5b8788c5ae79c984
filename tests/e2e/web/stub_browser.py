"""Room browser's sessions and their live view, as the page is told of them; no page is rendered."""

import asyncio
import contextlib
import io
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, Response
from PIL import Image

SIZE = (640, 400)
COLOUR = (200, 60, 40)
PICTURES = 5
"""How many pictures a viewer gets who acknowledges every one."""


def jpeg() -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", SIZE, COLOUR).save(kept, "JPEG", quality=90)
    return kept.getvalue()


def problem(status: int, detail: str, kind: str = "about:blank") -> Response:
    return JSONResponse({"type": kind, "detail": detail}, status)


@dataclass
class Browsing:
    """State of the stand-in; tests change it while the page watches."""

    key: str
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    heard: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What viewers did, without their acknowledgements."""
    acks: int = 0
    another_drives: bool = False
    selected: str = ""
    """What is selected in the page."""
    silent_vms: list[str] = field(default_factory=list[str])
    cut: bool = False
    """Set to lose every connection without a word."""

    def open(self, url: str = "about:blank") -> str:
        name = f"s_stub_{len(self.sessions)}"
        self.sessions[name] = {
            "id": name,
            "expires_in_s": 3600.0,
            "wheel": "agent",
            "viewers": 0,
            "tabs": [{"tab": 0, "url": url, "newest": True}],
        }
        return name

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api/browser/sessions")

        @router.get("")
        async def list_sessions() -> dict[str, Any]:
            return {"sessions": list(self.sessions.values()), "unreachable": self.silent_vms}

        @router.post("", status_code=201)
        async def open_session() -> dict[str, Any]:
            return self.sessions[self.open()]

        @router.get("/{name}")
        async def inspect(name: str) -> Response:
            found = self.sessions.get(name)
            return JSONResponse(found) if found else problem(410, "This session has ended.")

        @router.delete("/{name}", status_code=204)
        async def close(name: str) -> None:
            self.sessions.pop(name, None)

        @router.post("/{name}/goto")
        async def goto(name: str, request: Request) -> Response:
            url = (await request.json())["url"]
            if "192.168." in url:
                detail = "192.168.1.1 is a private address."
                return problem(403, detail, "urn:autobot:problem:blocked-address")
            self.sessions[name]["tabs"][0]["url"] = url
            return JSONResponse({"url": url, "status": 200})

        router.add_api_websocket_route("/{name}/live", self.live)
        return router

    async def live(self, websocket: WebSocket, name: str) -> None:
        protocols = websocket.scope.get("subprotocols", [])
        if protocols != ["autobot", f"autobot.key.{self.key}"] or name not in self.sessions:
            await websocket.close(1008)
            return
        await websocket.accept(subprotocol="autobot")
        tasks = [
            asyncio.ensure_future(self._listen(websocket, name)),
            asyncio.ensure_future(self._watch_over(websocket, name)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close()

    async def _watch_over(self, websocket: WebSocket, name: str) -> None:
        while not self.cut:
            if name not in self.sessions:
                await websocket.send_json({"type": "ended", "reason": "it was closed"})
                return
            await asyncio.sleep(0.02)

    async def _listen(self, websocket: WebSocket, name: str) -> None:
        await websocket.send_json({"type": "screen", "width": SIZE[0], "height": SIZE[1]})
        await self._tell(websocket, name, "person" if self.another_drives else "agent")
        await websocket.send_bytes(jpeg())
        while True:
            said = await websocket.receive_json()
            if said["type"] == "ack":
                self.acks += 1
                if self.acks < PICTURES:
                    await websocket.send_bytes(jpeg())
                continue
            self.heard.append(said)
            if said["type"] == "take" and self.another_drives:
                reason = "Another person is driving this session."
                await websocket.send_json({"type": "refused", "reason": reason})
            elif said["type"] == "goto" and "url" in said:
                self.sessions[name]["tabs"][0]["url"] = said["url"]
                await self._tell(websocket, name, "you")
            elif said["type"] == "copy":
                await websocket.send_json({"type": "copied", "text": self.selected})
            elif said["type"] in ("take", "release"):
                await self._tell(websocket, name, "you" if said["type"] == "take" else "agent")

    async def _tell(self, websocket: WebSocket, name: str, wheel: str) -> None:
        tabs = self.sessions[name]["tabs"]
        await websocket.send_json({"type": "state", "wheel": wheel, "tabs": tabs})
