"""Work ends with the caller who asked for it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect

from autobot.web import disconnect
from autobot.web.disconnect import EventStream, unless_disconnected
from tests.own_port import on_own_port


class Caller:
    """The server's side of a connection whose request body has been read."""

    def __init__(self) -> None:
        self.hung_up = asyncio.Event()

    def request(self) -> Request:
        return Request({"type": "http"}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        await self.hung_up.wait()
        return {"type": "http.disconnect"}


async def test_the_result_of_finished_work_is_returned() -> None:
    async def work() -> int:
        return 7

    assert await unless_disconnected(Caller().request(), work()) == 7


async def test_errors_of_the_work_pass_through() -> None:
    async def work() -> int:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await unless_disconnected(Caller().request(), work())


async def test_work_is_cancelled_when_the_caller_hangs_up() -> None:
    caller, cancelled = Caller(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = asyncio.create_task(unless_disconnected(caller.request(), work()))
    await asyncio.sleep(0)
    caller.hung_up.set()
    with pytest.raises(ClientDisconnect):
        await running
    assert cancelled.is_set()


async def test_a_stream_that_nobody_reads_ends_and_one_that_is_read_slowly_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disconnect, "TAKEN_WITHIN_S", 1.0)
    ended: dict[str, asyncio.Event] = {"slow": asyncio.Event(), "never": asyncio.Event()}
    app = FastAPI()

    async def endless(name: str) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: " + b"x" * 65536 + b"\n\n"
                await asyncio.sleep(0)
        finally:
            ended[name].set()

    @app.get("/{name}")
    async def stream(name: str) -> EventStream:
        pieces = endless(name)
        return EventStream(pieces, pieces, {})

    async with on_own_port(app) as port:
        made = {name: await asyncio.open_connection("127.0.0.1", port) for name in ended}
        for name, (_, writer) in made.items():
            writer.write(f"GET /{name} HTTP/1.1\r\nhost: room\r\n\r\n".encode())
        async with asyncio.timeout(20):
            while not ended["never"].is_set():
                await made["slow"][0].read(1 << 20)
                await asyncio.sleep(0.01)
        assert not ended["slow"].is_set()
        for _, writer in made.values():
            writer.transport.abort()


class Source:
    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_the_source_is_closed_even_when_closing_the_pieces_fails() -> None:
    """Or an engine would go on for nobody."""
    source = Source()

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: {}\n\n"
            await asyncio.Event().wait()
        finally:
            raise ValueError("broken")

    async def receive() -> dict[str, Any]:
        await taken.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            taken.set()
            await asyncio.Event().wait()

    taken = asyncio.Event()
    with pytest.raises(ValueError, match="broken"):
        await EventStream(pieces(), source, {})({"type": "http"}, receive, send)
    assert source.closed
