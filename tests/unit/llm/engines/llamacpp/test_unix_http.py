"""The client of the engine's socket, against servers that behave and servers that do not."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deployments.llm.engines.llamacpp.unix_http import BrokenOff, UnixHttp

pytestmark = pytest.mark.timeout(20)

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def server(tmp_path: Path, handle: Handle) -> AsyncGenerator[UnixHttp, None]:
    path = str(tmp_path / "s")
    listening = await asyncio.start_unix_server(handle, path)
    try:
        yield UnixHttp(path, silence_s=0.3)
    finally:
        listening.close()


def saying(*parts: bytes, hold: bool = False) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.005)
        if hold:
            await reader.read()
        writer.close()

    return handle


async def test_request_is_json_with_its_length(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        heard.append(await reader.readexactly(9))
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"b": "\xc3\xa9"}')
        writer.close()

    async with server(tmp_path, handle) as client:
        assert await client.json("POST", "/x", {"a": 42}) == {"b": "é"}
    assert heard[0].startswith(b"POST /x HTTP/1.1\r\n")
    assert b"Content-Length: 9\r\n" in heard[0]
    assert json.loads(heard[1]) == {"a": 42}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_chunks_are_put_together_wherever_the_stream_is_cut(
    tmp_path: Path, step: int
) -> None:
    body = b"5\r\nHello\r\nA;ext=1\r\n, wo\r\nrld!\r\n1\r\n\n\r\n0\r\n\r\n"
    cut = [body[i : i + step] for i in range(0, len(body), step)]
    async with (
        server(tmp_path, saying(CHUNKED, *cut)) as client,
        client.request("GET", "/") as answer,
    ):
        assert await answer.read() == b"Hello, wo\r\nrld!\n"


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"HTTP/1.1 200 OK\r\n"],
        [CHUNKED],
        [CHUNKED, b"5\r\nHel"],
        [CHUNKED, b"5\r\nHello\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"],
    ],
)
async def test_answer_that_breaks_off_is_never_taken_for_a_whole_one(
    tmp_path: Path, parts: list[bytes]
) -> None:
    async with server(tmp_path, saying(*parts)) as client:
        with pytest.raises(BrokenOff):
            async with client.request("GET", "/") as answer:
                await answer.read()


async def test_silence_is_a_timeout_before_and_within_the_body(tmp_path: Path) -> None:
    for number, parts in enumerate([[], [CHUNKED, b"1\r\nx\r\n"]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with server(folder, saying(*parts, hold=True)) as client:
            with pytest.raises(TimeoutError):
                async with client.request("GET", "/") as answer:
                    await answer.read()


async def test_leaving_the_block_closes_the_connection_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = asyncio.Event()
    kept: list[object] = []  # or the garbage collector would close it, sooner or later
    connect = asyncio.open_unix_connection

    async def keeping(*args: Any, **kwargs: Any) -> Any:
        kept.append(pair := await connect(*args, **kwargs))
        return pair

    monkeypatch.setattr(asyncio, "open_unix_connection", keeping)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"1\r\nx\r\n")
        await reader.read()
        gone.set()
        writer.close()

    async with server(tmp_path, handle) as client:
        async with client.request("GET", "/") as answer:
            await anext(answer.pieces())
        async with asyncio.timeout(1):
            await gone.wait()


async def test_nobody_listening_is_broken_off(tmp_path: Path) -> None:
    with pytest.raises(BrokenOff):
        await UnixHttp(str(tmp_path / "none"), 1).json("GET", "/")
