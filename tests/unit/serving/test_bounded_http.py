"""Whoever reaches a room's own port, without a key, takes neither its memory nor its places."""

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request

from autobot.serving import bounded_http
from tests.own_port import on_own_port

GET = b"GET / HTTP/1.1\r\nhost: room\r\n"
SMALL = 8 << 20


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "here"

    @app.post("/unread")
    async def unread(request: Request) -> str:
        return "answered"

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    async with on_own_port(app) as port:
        yield port


async def flood(port: int, beginning: bytes, piece: bytes, pieces: int) -> tuple[bytes, int]:
    """Send, reading nothing, until it is over or broken off. Returns what was answered, and how
    many bytes more there then were in memory at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    gc.collect()
    tracemalloc.start()
    writer.write(beginning)
    with contextlib.suppress(OSError):
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    said = b""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(5):
            said = await reader.read(100)
    writer.transport.abort()
    return said, most


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"GET / HTTP/1.1\r\nx: ", b"a" * 65536),
        (b"GET /", b"a" * 65536),
        (b"GET / HTTP/1.1\r\n", b"a:\r\n" * 16384),
        (b"POST /read HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a:\r\n" * 16384),
        (b"POST /unread HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", b"a" * 65536),
        (b"POST /unread HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;x=", b"a" * 65536),
    ],
    ids=["one header", "address", "headers", "trailers", "one trailer", "size of a chunk"],
)
async def test_a_head_without_end_is_broken_off(port: int, beginning: bytes, piece: bytes) -> None:
    _, most = await flood(port, beginning, piece, 320)
    assert most < SMALL


async def test_requests_that_are_not_waited_for_are_broken_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.transport.pause_reading()  # pyright: ignore
    gc.collect()
    tracemalloc.start()
    with contextlib.suppress(OSError):
        for _ in range(64):
            writer.write((GET + b"\r\n") * 2048)
            await asyncio.wait_for(writer.drain(), 0.2)
    await asyncio.sleep(0.5)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    writer.transport.abort()
    del reader
    assert most < SMALL


async def test_a_few_requests_at_once_are_answered_in_turn(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((GET + b"\r\n") * 8)
    async with asyncio.timeout(5):
        for _ in range(8):
            assert (await reader.readuntil(b'"here"')).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("pieces", [1, 2, 3])
async def test_a_connection_is_kept_for_any_number_of_requests(port: int, pieces: int) -> None:
    """However a request is cut: its head, its body and the next one's head may come together."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    post = b"POST /read HTTP/1.1\r\nhost: room\r\ncontent-length: 9\r\n\r\n123456789"
    request = post + GET + b"x: " + b"a" * 2000 + b"\r\n\r\n"
    size = len(request) // pieces + 1
    async with asyncio.timeout(20):
        for _ in range(2 * bounded_http.MOST_HEAD // 2000):
            for at in range(0, len(request), size):
                writer.write(request[at : at + size])
                await asyncio.sleep(0.001)
            assert (await reader.readuntil(b"\r\n\r\n9")).startswith(b"HTTP/1.1 200")
            assert (await reader.readuntil(b'"here"')).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_the_body_after_the_end_of_a_cut_head_is_no_head(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    part = bounded_http.MOST_HEAD * 2 // 3
    writer.write(b"POST /read HTTP/1.1\r\nx: " + b"a" * part)
    await asyncio.sleep(0.05)
    writer.write(b"\r\ncontent-length: %d\r\n\r\n" % part + b"a" * part)
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n%d" % part)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_head_of_ordinary_size_is_read(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"authorization: Bearer " + b"a" * 30_000 + b"\r\n" + b"a: b\r\n" * 100)
    writer.write(b"\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b'"here"')).startswith(b"HTTP/1.1 200")
    writer.close()


async def closed(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(OSError):
        async with asyncio.timeout(5):
            while await reader.read(1000):
                pass
    return True


@pytest.mark.parametrize("begun", [b"", GET, GET + b"\r\n" + GET])
async def test_who_does_not_end_a_head_is_hung_up_on(
    port: int, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_WITHIN_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    ended = asyncio.ensure_future(closed(reader))
    async with asyncio.timeout(4):
        while not ended.done():
            writer.write(b"a: b\r\n" if begun else b"")
            await asyncio.sleep(0.05)
    writer.transport.abort()


async def test_the_rest_of_an_answered_body_is_waited_for_no_longer_than_that(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "LEFT_OVER_WITHIN_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /unread HTTP/1.1\r\nhost: room\r\ncontent-length: 1000000\r\n\r\n")
    async with asyncio.timeout(5):
        assert b"answered" in await reader.readuntil(b'"answered"')
    ended = asyncio.ensure_future(closed(reader))
    async with asyncio.timeout(4):
        while not ended.done():
            writer.write(b"a")
            await asyncio.sleep(0.05)
    writer.transport.abort()


async def test_a_body_that_takes_its_time_is_read(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_WITHIN_S", 0.2)
    monkeypatch.setattr(bounded_http, "LEFT_OVER_WITHIN_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /read HTTP/1.1\r\nhost: room\r\ncontent-length: 5\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(0.1)
        writer.write(b"a")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n5")).startswith(b"HTTP/1.1 200")
    writer.close()
