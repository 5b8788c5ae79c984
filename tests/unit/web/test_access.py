"""What a key has opened ends with the key: streams, sockets and waiting requests."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, Request, WebSocket
from fastapi.responses import StreamingResponse
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.web.access import Admission, Admissions
from autobot.web.app import create_app
from autobot.web.auth import admit, outlive_key, presented_key, require
from tests.own_port import on_own_port

WITHIN_S = 2.0


class Owner:
    """The keys as room redis has them, and the ring that asks for them."""

    def __init__(self) -> None:
        self.key, self.record = make_key(NewKey(name="theirs", scopes=("llm",)))
        self.other, other = make_key(NewKey(name="other", scopes=("llm",)))
        self.records = [self.record, other]
        self.ring = KeyRing(self.fetch)
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    async def fetch(self) -> list[KeyRecord]:
        return list(self.records)

    async def revoke(self) -> None:
        self.records.remove(self.record)
        await self.ring.refresh()

    async def lasting(self, name: str, piece: bytes) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield piece
                await asyncio.sleep(0.01)
        finally:
            self.ended.put_nowait(name)


async def test_what_lost_one_key_is_not_kept_open_by_another_that_expires_later() -> None:
    owner = Owner()
    lasting = owner.record.model_copy(update={"id": "lasting", "expires": time.time() + 600})
    limit = asyncio.timeout(None)

    async def kept_open() -> None:
        async with limit:
            admission = Admission(Admissions(owner.ring), limit)
            admission.add(owner.record)
            admission.end()
            admission.add(lasting)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(kept_open(), WITHIN_S)
    assert limit.expired()


def routes(owner: Owner) -> APIRouter:
    router = APIRouter(prefix="/v1")
    keyed = APIRouter(dependencies=[Depends(require("llm"))])
    kinds = {"events": "text/event-stream", "lines": "application/x-ndjson", "raw": "image/jpeg"}

    @keyed.get("/stream/{name}")
    async def stream(name: str) -> StreamingResponse:
        piece = {"events": b"data: {}\n\n", "lines": b"{}\n", "raw": b"\xff"}[name]
        return StreamingResponse(owner.lasting(name, piece), media_type=kinds[name])

    @keyed.get("/wait")
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            owner.ended.put_nowait("wait")

    @keyed.delete("/myself")
    async def myself(request: Request) -> str:
        outlive_key(request)
        await owner.revoke()
        await asyncio.sleep(0.05)
        return "gone"

    @router.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        admit(websocket, presented_key(websocket), "llm")
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        finally:
            owner.ended.put_nowait("socket")

    @router.websocket("/flood")
    async def flood(websocket: WebSocket) -> None:
        admit(websocket, presented_key(websocket), "llm")
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(b"x" * (1 << 16))
                await asyncio.sleep(0)
        finally:
            owner.ended.put_nowait("flood")

    router.include_router(keyed)
    return router


class Served:
    def __init__(self, owner: Owner, port: int) -> None:
        self.owner, self.port = owner, port
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1", timeout=20)

    def auth(self, key: str | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {key or self.owner.key}"}

    async def next_end(self) -> str:
        """The next handler that has come to its end."""
        async with asyncio.timeout(WITHIN_S):
            return await self.owner.ended.get()

    def socket(self, path: str, **options: Any) -> connect:
        where = f"ws://127.0.0.1:{self.port}/v1/{path}"
        return connect(where, additional_headers=self.auth(options.pop("key", None)), **options)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    owner = Owner()
    await owner.ring.refresh()
    app = create_app("llm", [routes(owner)], owner.ring)
    async with on_own_port(app) as port:
        made = Served(owner, port)
        async with made.http:
            yield made


async def rest(stream: httpx.Response) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        return b"".join([piece async for piece in stream.aiter_raw()])


@contextlib.asynccontextmanager
async def streaming(served: Served, name: str) -> AsyncIterator[httpx.Response]:
    """A stream of which something has come."""
    async with served.http.stream("GET", f"/stream/{name}", headers=served.auth()) as answer:
        assert answer.status_code == 200
        yield answer


async def test_an_event_stream_of_a_revoked_key_ends_with_an_error_event(served: Served) -> None:
    async with streaming(served, "events") as answer:
        await served.owner.revoke()
        last = (await rest(answer)).strip().split(b"\n\n")[-1]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "invalid_api_key"
    assert await served.next_end() == "events"


async def test_a_stream_of_lines_ends_with_an_error_line(served: Served) -> None:
    async with streaming(served, "lines") as answer:
        await served.owner.revoke()
        last = (await rest(answer)).strip().split(b"\n")[-1]
    assert "error" in json.loads(last)


async def test_any_other_stream_is_broken_off(served: Served) -> None:
    async with streaming(served, "raw") as answer:
        await served.owner.revoke()
        with pytest.raises(httpx.RemoteProtocolError):
            await rest(answer)
    assert await served.next_end() == "raw"


async def test_a_request_that_waits_is_told_401(served: Served) -> None:
    waiting = asyncio.ensure_future(served.http.get("/wait", headers=served.auth()))
    await asyncio.sleep(0.1)
    await served.owner.revoke()
    async with asyncio.timeout(WITHIN_S):
        answer = await waiting
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert await served.next_end() == "wait"


async def test_a_socket_is_closed_with_the_code_for_a_broken_rule(served: Served) -> None:
    async with served.socket("socket") as socket:
        await socket.send("a")
        assert await socket.recv() == "a"
        await served.owner.revoke()
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "revoked" in closed.value.rcvd.reason) == (1008, True)
    assert await served.next_end() == "socket"


async def test_a_client_that_reads_nothing_is_cut_off_too(served: Served) -> None:
    socket: ClientConnection = await served.socket("flood", max_queue=1, ping_interval=None)
    await asyncio.sleep(0.5)
    await served.owner.revoke()
    assert await served.next_end() == "flood"
    socket.transport.abort()


async def test_other_keys_streams_go_on(served: Served) -> None:
    async with served.socket("socket", key=served.owner.other) as socket:
        await served.owner.revoke()
        await socket.send("b")
        assert await socket.recv() == "b"


async def test_an_expired_keys_stream_ends_without_anything_happening(served: Served) -> None:
    key, record = make_key(NewKey(name="short", scopes=("llm",), expires_in_s=0.5))
    served.owner.records.append(record)
    await served.owner.ring.refresh()
    async with served.socket("socket", key=key) as socket:
        async with asyncio.timeout(0.5 + WITHIN_S):
            with pytest.raises(ConnectionClosed):
                await socket.recv()


async def test_a_key_that_revokes_itself_hears_the_answer(served: Served) -> None:
    answer = await served.http.delete("/myself", headers=served.auth())
    assert (answer.status_code, answer.json()) == (200, "gone")
    with pytest.raises(InvalidStatus):
        async with served.socket("socket"):
            pass


async def test_nothing_is_remembered_of_what_has_ended(served: Served) -> None:
    for _ in range(3):
        async with served.socket("socket") as socket:
            await socket.send("a")
            await socket.recv()
    refused = await served.http.get("/wait", headers=served.auth("ab_no"))
    assert refused.status_code == 401
    for _ in range(3):
        assert await served.next_end() == "socket"
    [ended] = served.owner.ring.listeners
    admissions: Any = ended.__self__
    assert not admissions._open
