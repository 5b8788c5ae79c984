"""What a key has opened ends within two seconds of its revocation, through the ingress too."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.platform import Platform

WITHIN_S = 2.0
SLACK_S = 2.0
"""Of a machine that has more to do; what does not end goes on for minutes."""


@pytest.fixture
def key(platform: Platform) -> Iterator[tuple[str, str]]:
    """A key, and its id."""
    with platform.client() as client:
        asked = {"name": "short-lived", "scopes": ["llm", "browser", "browser:evaluate"]}
        made = client.post("/api/keys", json=asked).raise_for_status().json()
        yield made["key"], made["id"]
        client.delete(f"/api/keys/{made['id']}")


async def chat(client: httpx.AsyncClient, path: str, begun: asyncio.Event) -> bytes:
    """Everything a chat that would go on for minutes says."""
    question = [{"role": "user", "content": "Count from one to a million, in words."}]
    body = {"model": "default", "messages": question, "stream": True}
    limit = {"options": {"num_predict": 4000}} if "ollama" in path else {"max_tokens": 4000}
    said = b""
    async with client.stream("POST", path, json=body | limit) as answer:
        assert answer.status_code == 200
        with contextlib.suppress(httpx.RemoteProtocolError):
            async for piece in answer.aiter_raw():
                said += piece
                begun.set()
    return said


@contextlib.asynccontextmanager
async def live_view(
    platform: Platform, client: httpx.AsyncClient, key: str, port: int
) -> AsyncIterator[ClientConnection]:
    """A viewer of a session of its own, who has seen something."""
    opened = await client.post("/api/browser/sessions", json={})
    assert opened.status_code == 201, opened.text
    where = f"ws://127.0.0.1:{port}/api/browser/sessions/{opened.json()['id']}/live"
    headers = {"authorization": f"Bearer {key}"}
    async with connect(where, additional_headers=headers, proxy=None) as socket:
        await socket.recv()
        yield socket


async def closing(socket: ClientConnection) -> int:
    """The code it is closed with."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
    assert socket.close_code is not None
    return socket.close_code


async def sessions_of(platform: Platform) -> int:
    async with httpx.AsyncClient(base_url=platform.url) as client:
        headers = {"authorization": f"Bearer {platform.key}"}
        health = (await client.get("/api/health", headers=headers)).json()
    return health["rooms"]["browser"]["facts"].get("sessions", -1)  # a late probe tells nothing


@pytest.mark.timeout(180)
async def test_chats_live_views_and_sessions_end_with_their_key(
    platform: Platform, key: tuple[str, str]
) -> None:
    secret, name = key
    headers = {"authorization": f"Bearer {secret}"}
    begun = [asyncio.Event() for _ in range(3)]
    before = await sessions_of(platform)
    async with (
        httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=90) as client,
        live_view(platform, client, secret, platform.port("http")) as through_ingress,
        live_view(platform, client, secret, platform.port("browser")) as on_own_port,
    ):
        own = f"http://127.0.0.1:{platform.port('llm')}/v1/chat/completions"
        paths = ("/v1/chat/completions", own, "/ollama/api/chat")
        chats = [
            asyncio.ensure_future(chat(client, path, event))
            for path, event in zip(paths, begun, strict=True)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in begun))
        sockets = [asyncio.ensure_future(closing(s)) for s in (through_ingress, on_own_port)]
        admin = {"authorization": f"Bearer {platform.key}"}
        revoked = await client.delete(f"/api/keys/{name}", headers=admin)
        began = time.monotonic()
        assert (revoked.status_code, revoked.json()["unconfirmed"]) == (200, [])
        async with asyncio.timeout(WITHIN_S + SLACK_S):
            said = await asyncio.gather(*chats)
            codes = await asyncio.gather(*sockets)
        print(f"ended {time.monotonic() - began:.2f} s after the answer")
    assert codes == [1008, 1008]
    for words in said[:2]:
        last = words.strip().split(b"\n\n")[-1].removeprefix(b"data: ")
        assert json.loads(last)["error"]["code"] == "invalid_api_key"
    assert "error" in json.loads(said[2].strip().splitlines()[-1])
    async with asyncio.timeout(10):  # health is looked at every second or so
        while await sessions_of(platform) > before:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
