"""The room's VMs answer for each other: a session is found through any of them.

Serve's ingress sends a request to whichever VM it likes. One about a session or task of another VM
is passed on to that VM's own port; one that opens something goes on to a VM with a place when there
is none here; a list is put together from all. With one VM nothing of this happens.
"""

import contextlib
import re
import socket
from collections.abc import Callable, Mapping

import httpx
from fastapi import Request, WebSocket
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autobot.errors import AutoBotError, Busy, NotFound, Unavailable
from autobot.web import problems
from autobot.web.forward import ask, passed_on
from deployments.browser.places import vm_of
from deployments.browser.sockets import refuse
from deployments.browser.together import found_here, list_of_all
from deployments.browser.tunnel import Refused, tunnel

FORWARDED = "x-autobot-forwarded"
"""Another VM passed this on: it is answered here, and at once."""
MARK = {FORWARDED: "1"}
ROOT = "/api/browser"
ABOUT = re.compile(rf"{ROOT}/(?:sessions|tasks)/([^/]+)")
OPENING = {f"{ROOT}/{name}" for name in ("sessions", "tasks", "cdp", "playwright")}
LISTS = {f"{ROOT}/{name}" for name in ("sessions", "tasks", "connections")}
DOWNLOADS = f"{ROOT}/cdp/downloads/"
FULL = "There is no place for another browser session."
LOST = "VM {}, where this is, does not answer."
CONNECT_TIMEOUT_S = 2.0
# A VM that loses its power says nothing: without these a request to it would wait for ever.
KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


def peers_client() -> httpx.AsyncClient:
    """A client that waits for a peer's answer as long as the peer is there."""
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(socket_options=KEEPALIVE),
        timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
    )


class Peers:
    """Middleware that decides who answers.

    ``others`` gives the room's other VMs as they are named now: address -> ``host:port``. ``full``
    says whether a session that is opened here would have to wait.
    """

    def __init__(
        self,
        app: ASGIApp,
        others: Callable[[], Mapping[str, str]],
        full: Callable[[], bool],
        client: httpx.AsyncClient,
    ) -> None:
        self.app = app
        self._others = others
        self._full = full
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        others = self._others() if scope["type"] in ("http", "websocket") else {}
        if not others or scope.get("method") == "OPTIONS":
            await self.app(scope, receive, send)
            return
        try:
            if scope["type"] == "websocket":
                await self._socket(others, scope, receive, send)
            else:
                await self._request(others, Request(scope, receive), send)
        except AutoBotError as error:
            if scope["type"] == "websocket":
                await refuse(WebSocket(scope, receive, send), error)
            else:
                await problems.describe(error, scope["path"])(scope, receive, send)
        except ClientDisconnect:
            gone = Response(status_code=problems.CLIENT_CLOSED_REQUEST)
            await gone(scope, receive, send)

    async def _request(self, others: Mapping[str, str], request: Request, send: Send) -> None:
        path = request.url.path
        opens = request.method == "POST" and path in OPENING and self._full()
        if FORWARDED in request.headers:
            if opens:
                raise Busy(FULL)
            await self.app(request.scope, request.receive, send)
        elif vm := self._home(others, path):
            await self._send(await self._ask(request, others[vm], vm), request, send)
        elif opens:
            body = await request.body()
            if not await self._first(others, request, send, lambda status: status != Busy.status):
                await self.app(request.scope, _again(body, request.receive), send)
        elif request.method == "GET" and path in LISTS:
            answer = await list_of_all(self.app, self._client, request, others, MARK)
            await answer(request.scope, request.receive, send)
        elif path.startswith(DOWNLOADS):
            if not await found_here(self.app, request, send) and not await self._first(
                others, request, send, lambda status: status != NotFound.status
            ):
                raise NotFound("There is no such download in an open connection.")
        else:
            await self.app(request.scope, request.receive, send)

    def _home(self, others: Mapping[str, str], path: str) -> str | None:
        """The other VM that a path is about."""
        about = ABOUT.match(path)
        vm = vm_of(about[1]) if about else None
        return vm if vm in others else None

    async def _ask(self, request: Request, where: str, vm: str) -> httpx.Response:
        try:
            return await ask(request, self._client, f"http://{where}", MARK)
        except httpx.TransportError as error:
            raise Unavailable(LOST.format(vm)) from error

    async def _send(self, answer: httpx.Response, request: Request, send: Send) -> None:
        await passed_on(answer)(request.scope, request.receive, send)

    async def _first(
        self,
        others: Mapping[str, str],
        request: Request,
        send: Send,
        wanted: Callable[[int], bool],
    ) -> bool:
        """Send the first answer whose status is ``wanted``; False when no VM gave one."""
        for vm, where in others.items():
            try:
                answer = await self._ask(request, where, vm)
            except Unavailable:
                continue
            if wanted(answer.status_code):
                await self._send(answer, request, send)
                return True
            await answer.aclose()
        return False

    async def _socket(
        self, others: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        websocket = WebSocket(scope, receive, send)
        path = websocket.url.path
        full = path in OPENING and self._full()
        if FORWARDED in websocket.headers:
            if full:
                raise Busy(FULL)
        elif vm := self._home(others, path):
            try:
                await self._tunnel(websocket, others[vm])
            except Refused as refused:
                await websocket.send_denial_response(refused.response)
            except OSError as error:  # a TimeoutError is one
                raise Unavailable(LOST.format(vm)) from error
            return
        elif full:
            for where in others.values():
                with contextlib.suppress(Refused, OSError):
                    await self._tunnel(websocket, where)
                    return
        await self.app(scope, receive, send)

    async def _tunnel(self, websocket: WebSocket, where: str) -> None:
        url = f"ws://{where}{websocket.url.path}?{websocket.url.query}"
        await tunnel(websocket, url, MARK)


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` with a ``body`` before it that was already read."""
    unread = [body]

    async def again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return again
