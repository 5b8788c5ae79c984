"""A replica that is replaced leaves its port without a request lost."""

import asyncio
import socket

import httpx
import pytest
from fastapi import FastAPI

from autobot.serving.room import OwnPort

CALLERS = 8


def app(name: str) -> FastAPI:
    made = FastAPI()

    @made.get("/")
    async def who() -> dict[str, str]:
        return {"name": name}

    return made


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_callers_on_kept_connections_move_to_the_next_replica(port: int) -> None:
    old = OwnPort(app("old"), "127.0.0.1", port)
    await old.start()
    seen: list[str] = []
    over, answered = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            while not over.is_set():
                answer = await http.get("/")
                seen.append(answer.json()["name"])
                answered.set()
                await asyncio.sleep(0.001)

    await asyncio.sleep(0.1)
    callers = [asyncio.ensure_future(call()) for _ in range(CALLERS)]
    await asyncio.sleep(0.2)
    for generation in range(10):
        new = OwnPort(app(f"new {generation}"), "127.0.0.1", port)
        await new.start()
        await asyncio.sleep(0.05)
        await old.stop()
        old, before = new, len(seen)
        async with asyncio.timeout(30):
            while len(seen) < before + 2 * CALLERS:
                answered.clear()
                await answered.wait()
        assert set(seen[before + CALLERS :]) == {f"new {generation}"}
    over.set()
    await asyncio.gather(*callers)
    await old.stop()


async def test_an_idle_connection_does_not_hold_up_the_stop(port: int) -> None:
    server = OwnPort(app("old"), "127.0.0.1", port)
    await server.start()
    await asyncio.sleep(0.1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get("/")).json() == {"name": "old"}
        async with asyncio.timeout(5):
            await server.stop()
