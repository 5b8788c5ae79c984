"""Hugging Face downloads against a server on loopback that can break off."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from autobot.catalogue import Catalogue
from autobot.catalogue.http import HuggingFaceHub
from autobot.errors import SetupError
from tests.unit.catalogue.fakes import FakeRegistry, carriers, content, entry_of

DATA = content(parts=40)


class Hub:
    """Serves DATA; `cut` bytes into the first answer the connection drops."""

    def __init__(self) -> None:
        self.cut: int | None = None
        self.ranges = True
        self.body = DATA
        self.status = 200
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"(?im)^range: bytes=(\d+)-", head)
        start = int(found[1]) if found and self.ranges else 0
        self.asked.append((head.split()[1], found[1] if found else ""))
        body = self.body[start:]
        status = 206 if start and self.status == 200 else self.status
        writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        if self.cut is not None:
            body, self.cut = body[: self.cut], None
        writer.write(body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Hub]:
    hub = Hub()
    server = await asyncio.start_server(hub.answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        hub.url = f"http://{host}:{port}"
        yield hub


def catalogue(cache: Path, hub: Hub, attempts: int = 1) -> Catalogue:
    source = {
        "carrier": "hugging-face",
        "repo": "Owner/Toy-GGUF",
        "revision": "abc123",
        "paths": {"model.gguf": "sub/Toy.gguf"},
    }
    entry = entry_of({"model.gguf": DATA}, source)
    client = HuggingFaceHub(hub.url, attempts=attempts)
    return Catalogue(cache, {"toy": entry}, carriers(FakeRegistry(), client))


async def test_a_file_of_one_revision_arrives(tmp_path: Path) -> None:
    async with serving() as hub:
        path = await catalogue(tmp_path, hub).fetch("toy")
        assert path.read_bytes() == DATA
        assert hub.asked == [("/Owner/Toy-GGUF/resolve/abc123/sub/Toy.gguf", "0")]


async def test_a_broken_connection_resumes_by_range(tmp_path: Path) -> None:
    async with serving() as hub:
        hub.cut = 15_000
        path = await catalogue(tmp_path, hub, attempts=3).fetch("toy")
        assert path.read_bytes() == DATA
        assert len(hub.asked) == 2
        assert 0 < int(hub.asked[1][1]) <= 15_000


async def test_a_later_fetch_resumes_what_an_earlier_one_left(tmp_path: Path) -> None:
    async with serving() as hub:
        hub.cut = 15_000
        with pytest.raises(SetupError, match="Owner/Toy-GGUF"):
            await catalogue(tmp_path, hub).fetch("toy")
        await catalogue(tmp_path, hub).fetch("toy")
        assert 0 < int(hub.asked[1][1]) <= 15_000


async def test_a_server_without_ranges_sends_the_whole_file_again(tmp_path: Path) -> None:
    async with serving() as hub:
        hub.cut, hub.ranges = 15_000, False
        path = await catalogue(tmp_path, hub, attempts=3).fetch("toy")
        assert path.read_bytes() == DATA


@pytest.mark.parametrize("body", [b"y" * len(DATA), DATA + b"more"])
async def test_other_content_is_refused_and_removed(tmp_path: Path, body: bytes) -> None:
    async with serving() as hub:
        hub.body = body
        with pytest.raises(SetupError, match=r"has sha256|is longer than"):
            await catalogue(tmp_path, hub).fetch("toy")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["toy.lock"]


async def test_a_refusal_of_the_hub_is_told_with_its_status(tmp_path: Path) -> None:
    async with serving() as hub:
        hub.status = 404
        with pytest.raises(SetupError, match="status 404"):
            await catalogue(tmp_path, hub).fetch("toy")
        assert len(hub.asked) == 1
