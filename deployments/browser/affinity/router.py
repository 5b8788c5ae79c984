"""The room's VMs answer for each other: a session is found through any of them.

Serve's ingress sends a request to whichever VM it likes. One about a session or task of another VM
is passed on to that VM's own port; one that opens something goes on to a VM with a place when there
is none here; a list is put together from all. With one VM nothing of this happens.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import httpx
from fastapi import Request, WebSocket
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from autobot.errors import AutoBotError, Busy, NotFound, Unavailable
from autobot.web import problems
from autobot.web.auth import admit, presented_key
from autobot.web.forward import ask, passed_on
from deployments.browser.admission import at_once
from deployments.browser.affinity.peer_client import (
    LONGEST_S,
    OPENED_WITHIN_S,
    NotReached,
    patience,
)
from deployments.browser.affinity.scatter_gather import again, answered, list_of_all
from deployments.browser.affinity.session_ids import vm_of
from deployments.browser.affinity.websocket_proxy import HandshakeRefused, tunnel
from deployments.browser.websocket_auth import key_of, refuse

FORWARDED = "x-autobot-forwarded"
"""Another VM passed this on: it is answered here, and at once."""
MARK = {FORWARDED: "1"}
ROOT = "/api/browser"
ABOUT = re.compile(rf"{ROOT}/(?:sessions|tasks)/([^/]+)")
OPENING = {f"{ROOT}/{name}" for name in ("sessions", "tasks", "cdp", "playwright")}
LISTS = {f"{ROOT}/{name}" for name in ("sessions", "tasks", "connections")}
DOWNLOADS = f"{ROOT}/cdp/downloads/"
LOST = "VM {}, where this is, does not answer."
BROKE_OFF = "VM {} broke off: whether it had begun with this is not known."
PASSED_ON = SimpleNamespace(path="passed on")
"""What the metrics call a request whose own name is counted on another VM."""


class AffinityRouter:
    """Middleware that decides who answers.

    ``others`` gives the room's other VMs as they are named now: address -> ``host:port``.
    """

    def __init__(
        self,
        app: ASGIApp,
        others: Callable[[], Mapping[str, str]],
        client: httpx.AsyncClient,
    ) -> None:
        self.app = app
        self._others = others
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
                await problems.told(error, scope["path"])(scope, receive, send)
        except ClientDisconnect:
            gone = Response(status_code=problems.CLIENT_CLOSED_REQUEST)
            await gone(scope, receive, send)

    async def _request(self, others: Mapping[str, str], request: Request, send: Send) -> None:
        path = request.url.path
        opens = request.method == "POST" and path in OPENING
        if FORWARDED in request.headers:
            with at_once():
                await self.app(request.scope, request.receive, send)
        elif vm := self._home(others, path):
            self._admit(request, presented_key(request))
            try:
                answer = await ask(request, self._client, f"http://{others[vm]}", MARK)
            except httpx.TransportError as error:
                raise Unavailable(LOST.format(vm)) from error
            await self._pass_on(answer, request, send)
        elif opens:
            await self._opened_somewhere(others, request, send)
        elif request.method == "GET" and path in LISTS:
            answer = await list_of_all(self.app, self._client, request, others, MARK)
            await answer(request.scope, request.receive, send)
        elif path.startswith(DOWNLOADS):
            # Nothing in its name says where it lies.
            mine = (self.app, request.scope, request.receive, send)
            found = await answered(*mine, unless=NotFound.status)
            if not found and not await self._first(others, request, send, NotFound.status):
                raise NotFound("There is no such download in an open connection.")
        else:
            await self.app(request.scope, request.receive, send)

    async def _opened_somewhere(
        self, others: Mapping[str, str], request: Request, send: Send
    ) -> None:
        """Here if there is a place, else on the first VM that has one, else here when one ends."""
        body = await request.body()
        with at_once():
            mine = (self.app, request.scope, again(body, request.receive), send)
            if await answered(*mine, unless=Busy.status):
                return
        if not await self._first(others, request, send, Busy.status):
            await self.app(request.scope, again(body, request.receive), send)

    async def _first(
        self, others: Mapping[str, str], request: Request, send: Send, unless: int
    ) -> bool:
        """Send the first answer whose status is not ``unless``; False when no VM gave one.

        A VM that was reached and broke off is the last that is asked: nothing is begun twice.
        """
        self._admit(request, presented_key(request))
        timeout = patience(LONGEST_S if "wait" in request.query_params else OPENED_WITHIN_S)
        for vm, where in others.items():
            try:
                answer = await ask(request, self._client, f"http://{where}", MARK, timeout)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
            except httpx.TransportError as error:
                raise Unavailable(BROKE_OFF.format(vm)) from error
            if answer.status_code != unless:
                await self._pass_on(answer, request, send)
                return True
            await answer.aclose()
        return False

    async def _pass_on(self, answer: httpx.Response, request: Request, send: Send) -> None:
        request.scope["route"] = PASSED_ON
        await passed_on(answer)(request.scope, request.receive, send)

    async def _socket(
        self, others: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        websocket = WebSocket(scope, receive, send)
        path = websocket.url.path
        if FORWARDED in websocket.headers:
            with at_once():
                await self.app(scope, receive, send)
            return
        if vm := self._home(others, path):
            self._admit(websocket, key_of(websocket))
            try:
                await self._tunnel(websocket, vm, others[vm])
            except NotReached as error:
                raise Unavailable(LOST.format(vm)) from error
            return
        if path in OPENING:
            with at_once():
                if await answered(self.app, scope, receive, send, unless=Busy.status):
                    return
            for vm, where in others.items():
                with contextlib.suppress(NotReached):
                    if await self._tunnel(websocket, vm, where, unless=Busy.status):
                        return
        await self.app(scope, receive, send)

    async def _tunnel(
        self, websocket: WebSocket, vm: str, where: str, unless: int | None = None
    ) -> bool:
        """Speak through that VM, or tell its refusal; False when its status is ``unless``."""
        try:
            await tunnel(websocket, where, MARK)
        except HandshakeRefused as refused:
            if refused.response.status_code == unless:
                return False
            await websocket.send_denial_response(refused.response)
        except OSError as error:
            raise Unavailable(BROKE_OFF.format(vm)) from error
        return True

    def _home(self, others: Mapping[str, str], path: str) -> str | None:
        """The other VM that a path is about."""
        about = ABOUT.match(path)
        vm = vm_of(about[1]) if about else None
        return vm if vm in others else None

    def _admit(self, connection: Request | WebSocket, key: str | None) -> None:
        """Let nobody be passed on, or told about VMs, without a key of the room."""
        admit(connection, key, "browser")
