"""On every route of every room the key is checked before a byte of the body is read."""

import asyncio
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from autobot.manifests import Public, rooms
from autobot.web.public import is_public
from autobot.web.route_table import KnownRoute, RouteTable
from tests.contract.every_room import SCOPES, Keys, every_app
from tests.own_port import on_own_port

ANY_KEY = ("/mcp",)
"""Each of its tools has scopes of its own."""
PUBLIC = {
    ("main", "/"),
    ("main", "/api/health"),
    ("main", "/openapi.json"),
    ("main", "/docs"),
    ("main", "/docs/{asset}"),
    ("main", "/hooks/{name}"),  # asks for a signature
    ("frontend", "/config.json"),
    ("frontend", "/{path:path}"),
    ("npu", "/v2/health/live"),
    ("llm", "/ollama"),
    ("llm", "/ollama/"),
}
SILENT = b"content-length: 31457280\r\ncontent-type: application/json\r\n"
LATE_S = 5.0


def path_of(route: KnownRoute) -> str:
    return re.sub(r"{[^}]*}", "x", route.path)


class BodyRead(Exception):
    """The application asked for the body."""


async def status_of(app: FastAPI, method: str, path: str, key: str | None) -> int:
    """The status of the answer to a request whose body must not be asked for."""
    headers = [(b"content-length", b"31457280"), (b"content-type", b"application/json")]
    if key:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "extensions": {},
    }
    seen: list[int] = []

    async def receive() -> Any:
        raise BodyRead(f"{method} {path} reads its body")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    await app(scope, receive, send)
    return seen[0]


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
async def apps(keys: Keys, tmp_path: Path) -> dict[str, FastAPI]:
    return await every_app(keys, tmp_path)


def public_of(application: str) -> Public:
    known = rooms()
    return known[known.room_of(application)].public


def keyed(apps: dict[str, FastAPI]) -> list[tuple[str, FastAPI, KnownRoute, str]]:
    """Application, route and method of everything that needs a key."""
    return [
        (name, app, route, method)
        for name, app in apps.items()
        for route in RouteTable(app.routes).routes
        for method in sorted(route.methods)
        if not is_public(public_of(name), method, path_of(route))
    ]


async def test_these_are_all_rooms_and_what_is_public_is_on_the_list(
    apps: dict[str, FastAPI],
) -> None:
    named = rooms().applications
    assert set(apps) == set(named) - {"redis"}
    assert len(keyed(apps)) > 80
    open_routes = {
        (rooms().room_of(name), route.path)
        for name, app in apps.items()
        for route in RouteTable(app.routes).routes
        for method in route.methods
        if is_public(public_of(name), method, path_of(route))
    }
    assert open_routes == PUBLIC


async def test_every_path_of_the_room_without_a_prefix_is_reserved(
    apps: dict[str, FastAPI],
) -> None:
    reserved = rooms()["main"].reserved
    paths = {path_of(route) for route in RouteTable(apps["main"].routes).routes} - {"/"}
    assert "/api/keys" in paths
    assert not [p for p in paths if not any(f"{p}/".startswith(f"{r}/") for r in reserved)]


async def test_without_a_key_or_with_a_wrong_one_no_route_reads_a_body(
    apps: dict[str, FastAPI],
) -> None:
    for name, app, route, method in keyed(apps):
        for key in (None, "ab_wrong"):
            status = await status_of(app, method, path_of(route), key)
            assert status == 401, (name, method, route.path, key)


async def test_a_key_without_the_scope_gets_no_body_read(
    apps: dict[str, FastAPI], keys: Keys
) -> None:
    for name, app, route, method in keyed(apps):
        assert route.scopes or route.path in ANY_KEY, (name, route.path)
        if route.path in ANY_KEY:
            continue
        lacking = [scope for scope in SCOPES if scope not in (*route.scopes, "admin")]
        for scope in lacking:
            status = await status_of(app, method, path_of(route), keys.key[scope])
            assert status == 403, (name, method, route.path, scope)


async def answer_to(port: int, head: bytes) -> tuple[bytes, float]:
    """What comes back for a head whose body is never sent, and after how many seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.perf_counter()
    writer.write(head)
    async with asyncio.timeout(LATE_S):
        answer = await reader.readuntil(b"\r\n\r\n")
    took = time.perf_counter() - started
    writer.close()
    return answer, took


async def test_an_announced_body_that_never_comes_is_answered_at_once_on_the_own_port(
    apps: dict[str, FastAPI],
) -> None:
    for name, app in apps.items():
        async with on_own_port(app) as port:
            for _, _, route, method in keyed({name: app}):
                head = f"{method} {path_of(route)} HTTP/1.1\r\nhost: room\r\n".encode() + SILENT
                for more in (b"", b"expect: 100-continue\r\n", b"authorization: Bearer ab_x\r\n"):
                    answer, _ = await answer_to(port, head + more + b"\r\n")
                    assert answer.startswith(b"HTTP/1.1 401 "), (name, method, route.path, answer)


async def test_a_body_that_is_sent_all_the_same_is_thrown_away(apps: dict[str, FastAPI]) -> None:
    piece = b"[" + b"0," * (1 << 19)
    async with on_own_port(apps["llm"]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        tracemalloc.start()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: room\r\n" + SILENT + b"\r\n")
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\r\n\r\n")
            for _ in range(29):
                writer.write(piece)
                await writer.drain()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert most < 8 << 20
