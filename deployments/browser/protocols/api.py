"""`/api/browser/playwright` and `/api/browser/cdp`: the clients' own protocols, over WebSocket.

    headers = {"Authorization": "Bearer KEY"}
    playwright.chromium.connect("ws://HOST/api/browser/playwright", headers=headers)
    playwright.chromium.connect_over_cdp("ws://HOST/api/browser/cdp", headers=headers)
    puppeteer.connect({browserWSEndpoint: "ws://HOST/api/browser/cdp", headers})

A client that takes nothing but an address is given ``ws://autobot:KEY@HOST/api/browser/cdp``.

Each connection has a Chromium of its own, needs the scope `browser:evaluate` since both protocols
run script, counts as a session, and ends with everything in it when the client goes. ``allow`` and
``deny`` in the query are lists of domains, separated by commas; the key's own lists hold as well.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, WebSocket, WebSocketDisconnect

from autobot.errors import AutoBotError
from autobot.keys import KeyRecord
from autobot.web.auth import require
from deployments.browser.egress.policy import Domains, listed_domain
from deployments.browser.pages.api import Owner, answer, domains_of_key, responses
from deployments.browser.protocols.service import Connections, Kind, talk
from deployments.browser.websocket_auth import admitted, refuse, spoken


def domains_of(websocket: WebSocket) -> Domains:
    """The lists in the query. Raises `Invalid` for what is no domain."""
    given = [websocket.query_params.get(name, "") for name in ("allow", "deny")]
    allow, deny = (tuple(map(listed_domain, filter(None, text.split(",")))) for text in given)
    return Domains(allow, deny, "connection")


def protocol_routes(connections: Connections) -> APIRouter:
    """Return both protocols' WebSockets, and the routes that tell of their connections."""
    router = APIRouter()

    @router.websocket("/playwright")
    async def playwright(websocket: WebSocket) -> None:
        """Serve one Playwright client a Chromium of its own. Needs scope `browser:evaluate`."""
        await _serve(websocket, connections, "playwright")

    @router.websocket("/cdp")
    async def cdp(websocket: WebSocket) -> None:
        """Serve one client of the DevTools protocol a Chromium of its own, as `playwright` does."""
        await _serve(websocket, connections, "cdp")

    @router.get("/cdp/json/version", responses=responses("application/json"))
    @router.get("/cdp/json/version/", include_in_schema=False)
    async def cdp_version(
        request: Request, key: Annotated[KeyRecord, Depends(require("browser:evaluate"))]
    ) -> dict[str, str]:
        """Return where CDP is spoken, as clients that are given an http address ask for it."""
        scheme = "wss" if request.url.scheme == "https" else "ws"
        where = f"{scheme}://{request.url.netloc}/api/browser/cdp"
        return {"Browser": "Chromium", "Protocol-Version": "1.3", "webSocketDebuggerUrl": where}

    @router.get("/connections", responses=responses("application/json"))
    async def list_connections(key: Owner) -> dict[str, Any]:
        """Return this key's open connections: how many addresses each was refused, and why."""
        return {"connections": connections.all(key.id), "unreachable": []}

    @router.get("/cdp/downloads/{guid}", responses=responses("application/octet-stream"))
    async def cdp_download(key: Owner, guid: str) -> Response:
        """Return a file that an open CDP connection has downloaded, by its event's `guid`."""
        return answer(await connections.download(key.id, guid))

    return router


async def _serve(websocket: WebSocket, connections: Connections, kind: Kind) -> None:
    try:
        key = admitted(websocket, "browser", "browser:evaluate")
        async with connections.link(
            key.id, kind, domains_of_key(key), domains_of(websocket)
        ) as link:
            await websocket.accept(subprotocol=spoken(websocket))

            async def receive() -> str | None:
                try:
                    return await websocket.receive_text()
                except (WebSocketDisconnect, RuntimeError, KeyError):
                    return None

            async def send(text: str) -> None:
                try:
                    await websocket.send_text(text)
                except (WebSocketDisconnect, RuntimeError):
                    return  # `receive` tells of the end

            reason = await talk(link, receive, send)
            if "client" not in reason:
                await websocket.close(1001, reason)
    except AutoBotError as error:
        await refuse(websocket, error)
