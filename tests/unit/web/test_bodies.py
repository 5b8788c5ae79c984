"""A caller with a key: what a body may cost, and what its key's bodies may cost the others."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel

from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.web import bodies
from autobot.web.app import create_app
from autobot.web.auth import require
from autobot.web.bodies import HELD, HELD_OF_A_KEY, MOST_VALUES, values_in
from tests.own_port import on_own_port

MOST = 16 << 20


class Anything(BaseModel):
    model_config = {"extra": "allow"}


class Room:
    """An application, and two keys."""

    def __init__(self) -> None:
        made = [make_key(NewKey(name=name, scopes=("llm",))) for name in ("one", "other")]
        self.key, self.other = (key for key, _ in made)
        self.records = [record for _, record in made]
        self.go_on = asyncio.Event()
        self.port = 0

    async def fetch(self) -> list[KeyRecord]:
        return self.records

    async def app(self) -> FastAPI:
        ring = KeyRing(self.fetch)
        await ring.refresh()
        router = APIRouter(prefix="/v1", dependencies=[Depends(require("llm"))])

        @router.post("/json")
        async def read_json(body: Anything) -> str:
            return "read"

        @router.post("/raw")
        async def read_raw(request: Request) -> int:
            return len(await request.body())

        @router.post("/held")
        async def held(request: Request) -> int:
            size = len(await request.body())
            await self.go_on.wait()
            return size

        return create_app("llm", [router], ring, max_body_bytes=MOST)

    async def begin(
        self, path: str, body: bytes, size: int | None = None, key: str | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request of which ``size`` bytes are announced and ``body`` is sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (
            f"POST /v1/{path} HTTP/1.1\r\nhost: room\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {key or self.key}\r\n"
            f"content-length: {len(body) if size is None else size}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        return reader, writer

    async def ask(self, path: str, body: bytes, key: str | None = None) -> tuple[int, Any]:
        return await answer(*await self.begin(path, body, key=key))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, Any]:
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
        body = await reader.readexactly(int(size.split(b":")[1]))
    writer.transport.abort()
    return int(head.split()[1]), json.loads(body)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room()
    async with on_own_port(await made.app()) as made.port:
        yield made
        made.go_on.set()


MANY = MOST_VALUES + 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b",".join([b"0"] * MANY) + b"]}",
        b'{"a":[' + b",".join([b"{}"] * (MANY // 2)) + b"]}",
        b'{"a":' + b"[" * MANY + b"]" * MANY + b"}",
        b'{"a":{' + b",".join(b'"\\"%d":""' % i for i in range(MANY)) + b"}}",
        b'{"a":[' + b",".join([b'"\\\\"'] * MANY) + b"]}",
        ('{"a":["\\"",' + ",".join(["0"] * MANY) + "]}").encode("utf-16"),
        ('{"a":["\\"",' + ",".join(["0"] * MANY) + "]}").encode("utf-32-le"),
    ],
    ids=["numbers", "objects", "depth", "members", "texts", "UTF-16", "UTF-32"],
)
async def test_json_of_tiny_values_is_refused_before_it_is_parsed(room: Room, body: bytes) -> None:
    assert len(body) < MOST
    began = time.process_time()
    status, told = await room.ask("json", body)
    assert (status, told["error"]["code"]) == (413, "too_large")
    assert time.process_time() - began < 1.0


async def test_a_long_text_is_as_many_values_as_it_is(room: Room) -> None:
    text = 'a,b,[c],{d},"e",\\,' * 500_000
    assert await room.ask("json", json.dumps({"text": text}).encode()) == (200, "read")


async def test_what_is_no_json_to_us_has_any_bytes(room: Room) -> None:
    body = b"," * (MANY * 2)
    assert await room.ask("raw", body) == (200, len(body))


def test_values_are_counted_outside_of_strings() -> None:
    assert values_in(b'{"a,[{\\"": [1, 2, {"b\\\\": "\\\\\\","}]}') == 5
    assert values_in(b'["\\\\",["\\\\\\",[,{"],0]') == 4


async def test_a_key_holds_its_share_of_bodies_and_leaves_the_others_theirs(room: Room) -> None:
    mine = [await room.begin("held", b"a", MOST) for _ in range(HELD_OF_A_KEY)]
    await asyncio.sleep(0.2)
    status, told = await room.ask("raw", b"a" * 1000)
    assert (status, told["error"]["code"]) == (429, "busy")
    assert await room.ask("raw", b"a" * 1000, room.other) == (200, 1000)
    mine.pop()[1].transport.abort()
    async with asyncio.timeout(5):
        while (await room.ask("raw", b"a" * 1000))[0] != 200:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.02)
    for _, writer in mine:
        writer.transport.abort()


async def test_a_body_counts_until_it_is_answered(room: Room) -> None:
    mine = [await room.begin("held", b"a" * MOST) for _ in range(HELD_OF_A_KEY)]
    await asyncio.sleep(0.5)
    assert (await room.ask("raw", b"a"))[0] == 429
    room.go_on.set()
    for each in mine:
        assert await answer(*each) == (200, MOST)
    assert await room.ask("raw", b"a") == (200, 1)


def test_all_keys_together_hold_no_more_than_there_is_room_for() -> None:
    held = bodies.Bodies(100)
    for number in range(HELD):
        held.take(f"{number}", 100)
    with pytest.raises(bodies.Busy):
        held.take("another", 1)
    held.give_back("0", 100)
    held.take("another", 1)


async def test_a_body_that_comes_too_slowly_is_refused(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE_S", 0.3)
    reader, writer = await room.begin("raw", b"a", 1000)
    answered = asyncio.ensure_future(answer(reader, writer))
    async with asyncio.timeout(5):
        while not answered.done():
            writer.write(b"a")
            await asyncio.sleep(0.02)
    status, told = await answered
    assert (status, told["error"]["code"]) == (408, "too_slow")


async def test_a_body_that_goes_on_coming_may_take_longer(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE_S", 0.3)
    size = 12 * 4096
    reader, writer = await room.begin("raw", b"", size)
    for _ in range(12):
        writer.write(b"a" * 4096)
        await asyncio.sleep(0.1)
    assert await answer(reader, writer) == (200, size)


async def test_an_answer_may_take_longer_than_a_body(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE_S", 0.1)
    waiting = await room.begin("held", b"aa")
    await asyncio.sleep(0.5)
    room.go_on.set()
    assert await answer(*waiting) == (200, 2)
