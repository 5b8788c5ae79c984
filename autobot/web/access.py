"""Who may ask, decided before a body is read, and for how long: until the key is revoked.

`require` and `admit` stay the authority on a key's scopes. This middleware asks the same question
earlier, with the headers alone, and ends what a key has opened once the ring does not hold it.
"""

import asyncio
import contextlib
from collections import defaultdict
from typing import Any

import structlog
from fastapi.requests import HTTPConnection
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autobot.errors import AutoBotError, Unauthenticated
from autobot.keys import KeyRecord, KeyRing
from autobot.manifests import rooms
from autobot.web import problems
from autobot.web.auth import presented_key
from autobot.web.bodies import Bodies, Body, Refused, has_body
from autobot.web.public import is_public
from autobot.web.route_table import KnownRoute, RouteTable

log = structlog.get_logger()

LAST_WORDS_S = 1.0
"""For telling a caller why it ends: one who reads nothing learns it from the closed connection."""
ENDED = "This API key was revoked or has expired."


class Admissions:
    """What is open by which key."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._open: defaultdict[str, set[Admission]] = defaultdict(set)
        keys.on_change(self.end_what_lost_its_key)

    def add(self, record: KeyRecord, admission: "Admission") -> None:
        """Count ``admission`` as opened by this key, until `remove`."""
        self._open[record.id].add(admission)

    def remove(self, key_id: str, admission: "Admission") -> None:
        mine = self._open[key_id]
        mine.discard(admission)
        if not mine:
            del self._open[key_id]

    def end_what_lost_its_key(self) -> None:
        """End all that a key opened which is now revoked or expired; called when keys change."""
        for key_id in [key_id for key_id in self._open if not self._keys.holds(key_id)]:
            log.info("access.key_ended", key=key_id, open=len(self._open[key_id]))
            for admission in self._open[key_id]:
                admission.end()

    def seconds_left(self, record: KeyRecord) -> float | None:
        return self._keys.seconds_left(record)


class Admission:
    """One request or socket: the keys that let it in, and the scope that is cancelled at its end.

    ``outlives_key`` is for the answer to a key's own revocation.
    """

    def __init__(self, admissions: Admissions, limit: asyncio.Timeout) -> None:
        self._admissions = admissions
        self._limit = limit
        self._keys: set[str] = set()
        self.outlives_key = False

    def add(self, record: KeyRecord) -> None:
        """Let it last no longer than this key; of several keys the first to expire counts."""
        if record.id in self._keys:
            return
        self._keys.add(record.id)
        self._admissions.add(record, self)
        left = self._admissions.seconds_left(record)
        if left is not None:
            ends = asyncio.get_running_loop().time() + left
            sooner = self._limit.when()  # 0 when another key of it has ended already
            self._limit.reschedule(ends if sooner is None else min(ends, sooner))

    def end(self) -> None:
        """Cancel what is open at the loop's next turn, unless it outlives its key."""
        if not self.outlives_key and not self._limit.expired():
            self._limit.reschedule(0)

    def close(self) -> None:
        """Forget what it opened: the request or socket is over, and no key has to end it."""
        for key_id in self._keys:
            self._admissions.remove(key_id, self)


class Answer:
    """What has been sent so far: it decides how an answer can still be ended."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._started = False
        self._finished = False
        self._kind = ""

    async def send(self, message: Message) -> None:
        """Pass a message on to the server, and note how far the answer is."""
        if message["type"] in ("http.response.start", "websocket.accept"):
            self._started = True
            self._kind = Headers(raw=message.get("headers", [])).get("content-type", "")
        elif message["type"] == "http.response.body":
            self._finished = not message.get("more_body", False)
        elif message["type"] == "websocket.close":
            self._finished = True
        await self._send(message)

    async def refuse(self, error: AutoBotError) -> None:
        """Say ``error`` in the way that is left; where there is none, break off."""
        if self._finished:
            return
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._say(error)
        except (TimeoutError, OSError, RuntimeError) as left:
            log.info("access.left_without_a_word", path=self._scope["path"], reason=repr(left))

    async def _say(self, error: AutoBotError) -> None:
        answer = problems.describe(error, self._scope["path"])
        if self._scope["type"] == "websocket":
            if self._started or not _may_deny(self._scope):
                closing = {"code": 1008, "reason": error.detail[:120]}
                await self._send({"type": "websocket.close", **closing})
            else:
                await answer(self._scope, self._receive, self._send)
        elif not self._started:
            await answer(self._scope, self._receive, self._send)
        elif self._kind.startswith("text/event-stream"):
            await self._end_with(b"\n\ndata: " + bytes(answer.body) + b"\n\n")
        elif self._kind.startswith("application/x-ndjson"):
            await self._end_with(bytes(answer.body) + b"\n")

    async def _end_with(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


class Access:
    """The middleware. ``room`` says what is public."""

    def __init__(self, app: ASGIApp, room: str, keys: KeyRing, max_body_bytes: int) -> None:
        self.app = app
        self._public = rooms()[room].public
        self._keys = keys
        self._bodies = Bodies(max_body_bytes)
        self._admissions = Admissions(keys)
        self._table: RouteTable | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        answer = Answer(scope, receive, send)
        if self._needs_nothing(connection):
            try:
                await self.app(scope, receive, answer.send)
            except AutoBotError as error:
                await answer.refuse(error)
            return
        limit = asyncio.timeout(None)
        try:
            async with limit:
                admission = scope["autobot.admission"] = Admission(self._admissions, limit)
                try:
                    await self._keys.catch_up(presented_key(connection))
                    if scope["type"] == "websocket":
                        await self.app(scope, receive, answer.send)
                        return
                    route, key = self._admit(connection, admission)
                    if not has_body(connection.headers):
                        await self.app(scope, receive, answer.send)
                        return
                    reads_json = route is not None and route.reads_json
                    body = Body(self._bodies, scope, receive, key, json=reads_json)
                    with contextlib.closing(body):
                        await self.app(scope, body.receive, answer.send)
                finally:
                    admission.close()
        except TimeoutError:
            if not limit.expired():
                raise
            await answer.refuse(Unauthenticated(ENDED))
        except AutoBotError as error:
            await answer.refuse(error)
        except Refused as refused:  # read by a middleware
            await answer.refuse(refused.error)

    def _needs_nothing(self, connection: HTTPConnection) -> bool:
        """Whether no key can let this request in or end it, and no body comes with it."""
        scope = connection.scope
        return (
            scope["type"] == "http"
            and is_public(self._public, scope["method"], scope["path"])
            and presented_key(connection) is None
            and not has_body(connection.headers)
        )

    def _admit(
        self, connection: HTTPConnection, admission: Admission
    ) -> tuple[KnownRoute | None, str]:
        """Check key and scopes by the headers; return the route and the key's id.

        What no route answers is 404 or 405 for anybody.
        """
        if self._table is None:
            self._table = RouteTable(connection.app.routes)
        method, path = connection.scope["method"], connection.scope["path"]
        route = self._table.find(method, path)
        if route is None or is_public(self._public, method, path):
            return route, ""
        connection.scope["route"] = route  # for the metrics, should it end here
        record = self._keys.check(presented_key(connection), *route.scopes)
        admission.add(record)
        return route, record.id


def _may_deny(scope: Scope) -> bool:
    extensions: dict[str, Any] = scope.get("extensions") or {}
    return "websocket.http.response" in extensions
