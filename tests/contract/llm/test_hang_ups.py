"""Callers that hang up after the first word, over real HTTP, on the real engine.

`make drill` hangs up a hundred times, the suite twenty.
"""

import asyncio
import gc
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import pytest_asyncio

from deployments.llm.chat.api import chat_routes
from deployments.llm.chat.service import ChatService
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.models.registry import ModelFile
from tests.contract.llm.conftest import SMALL
from tests.contract.llm.served import key_of, served

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

SLOTS = 4
SOON_S = 1.0
MORE_MEMORY = 1.1
"""Once warm, nothing may grow with the number of hang-ups; an allocator may still breathe."""


@dataclass(frozen=True)
class Held:
    """What the server's and the engine's process hold."""

    files: tuple[int, int]
    memory: tuple[int, int]


@dataclass(frozen=True)
class Room:
    url: str
    key: str
    engine: LlamaCppEngine

    async def busy(self) -> int:
        """Slots in use by the native engine's own account, and by ours."""
        process = self.engine.loaded(SMALL)
        assert process, "the engine ended"
        slots = await process.client.json("GET", "/slots")
        assert len(slots) == SLOTS
        return sum(slot["is_processing"] for slot in slots) + self.engine.limiter.running

    async def free(self) -> float:
        """Wait until every slot is; return how many seconds that took."""
        began = time.monotonic()
        while await self.busy():
            assert time.monotonic() - began < SOON_S, "a slot was not freed within a second"
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def held(self) -> Held:
        await asyncio.sleep(0.2)  # the sockets of the last callers close
        gc.collect()
        process = self.engine.loaded(SMALL)
        assert process
        both = (psutil.Process(), psutil.Process(process.pid))
        server, engine = ((one.num_fds(), one.memory_info().rss) for one in both)
        return Held((server[0], engine[0]), (server[1], engine[1]))


@pytest_asyncio.fixture(loop_scope="module")
async def room(
    small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Room, None]:
    files = [ModelFile(SMALL, small_model, 4096)]
    log = tmp_path_factory.mktemp("engine") / "llama.cpp.log"
    engine = LlamaCppEngine(lambda: files, log, slots=SLOTS, waiting=4, context=2048)
    service = ChatService([engine], lambda: SMALL)
    key, record = key_of("llm")
    async with served([chat_routes(service)], [record]) as url:
        yield Room(url, key, engine)
    await service.close()


async def hang_up(room: Room, abruptly: bool) -> None:
    """Ask for a long story and go away at its first word."""
    address = urlsplit(room.url)
    asked = [{"role": "user", "content": "Tell me a long story about the sea."}]
    body = json.dumps({"model": SMALL, "stream": True, "messages": asked}).encode()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: room\r\nContent-Type: application/json\r\n"
        + f"Authorization: Bearer {room.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    said = b""
    while b'"content": "' not in said.partition(b'"content": ""')[2]:
        said += await reader.read(1 << 16)
        assert said.startswith(b"HTTP/1.1 200"), said
    if abruptly:
        writer.transport.abort()  # a reset: the caller's machine was switched off
    else:
        writer.close()


async def answered(room: Room) -> str:
    body = {"model": SMALL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx.AsyncClient(timeout=60) as client:
        client.headers["authorization"] = f"Bearer {room.key}"
        answer = await client.post(f"{room.url}/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


async def many(room: Room, number: int, warm: int) -> None:
    """Hang up `number` times, every other time four at once; compare with after `warm` of them."""
    await answered(room)
    done, turn, before = 0, 0, None
    slowest = 0.0
    while done < number:
        at_once = SLOTS if turn % 2 else 1
        await asyncio.gather(*(hang_up(room, abruptly=bool(n % 2)) for n in range(at_once)))
        slowest = max(slowest, await room.free())
        done, turn = done + at_once, turn + 1
        if before is None and done >= warm:
            before = await room.held()
    assert before
    after = await room.held()
    print(f"{done} hang-ups; slots free after {slowest:.2f} s at most; {before} -> {after}")
    assert (room.engine.limiter.running, room.engine.limiter.queued) == (0, 0)
    assert after.files <= before.files, "a file or socket was left open"
    for now, then in zip(after.memory, before.memory, strict=True):
        assert now <= then * MORE_MEMORY
    assert await answered(room)


@pytest.mark.timeout(180)
async def test_twenty_hang_ups_leave_no_slot_file_or_memory_behind(room: Room) -> None:
    await many(room, 20, warm=10)


@pytest.mark.drill
@pytest.mark.timeout(900)
async def test_hundred_hang_ups_leave_no_slot_file_or_memory_behind(room: Room) -> None:
    await many(room, 100, warm=20)
