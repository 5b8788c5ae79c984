"""The forward proxy on raw sockets: what it passes on, what it refuses, and what it forgets."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import pytest

from autobot.errors import BlockedAddress
from deployments.browser.egress.connector import MOST_NAMES, Connector, Stream
from deployments.browser.egress.policy import Address, Policy, Target
from deployments.browser.egress.proxy import MAX_FAILURES, EgressProxy, nowhere
from deployments.browser.errors import PageFailed

pytestmark = pytest.mark.timeout(20)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def upstream(handler: Handler) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def saying(answer: bytes, heard: list[bytes]) -> Handler:
    """A server that hears one request head, answers, and keeps the connection open."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await reader.read()
        writer.close()

    return handle


async def open_local(target: Target) -> Stream:
    return await asyncio.open_connection("127.0.0.1", target.port)


async def ask(proxy: EgressProxy, request: bytes) -> bytes:
    """Send ``request`` through ``proxy``; return what came within half a second of silence."""
    port = int((await proxy.start()).rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    got = b""
    with contextlib.suppress(TimeoutError):
        while data := await asyncio.wait_for(reader.read(65536), 0.5):
            got += data
    writer.close()
    await proxy.close()
    return got


async def test_a_request_goes_out_in_origin_form_without_the_browsers_connection_headers() -> None:
    heard: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nX-A: b\r\n\r\nhi"
    async with upstream(saying(answer, heard)) as port:
        request = (
            f"GET http://site.example:{port}/a?b=c HTTP/1.1\r\nHost: site.example:{port}\r\n"
            "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nX-Kept: 1\r\n\r\n"
        )
        got = await ask(EgressProxy(open_local), request.encode())
    assert heard[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"X-Kept: 1" in heard[0]
    assert b"Host: site.example" in heard[0]
    assert b"proxy-" not in heard[0].lower()
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert got.endswith(b"\r\n\r\nhi")
    assert b"X-A: b" in got
    assert b"Connection: close" in got
    assert b"keep-alive" not in got


async def test_a_tunnel_carries_bytes_both_ways_untouched() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(100))[::-1])
        writer.close()

    async with upstream(echo) as port:
        request = f"CONNECT site.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03abc"
        got = await ask(EgressProxy(open_local), request.encode())
    assert got == b"HTTP/1.1 200 Connection established\r\n\r\ncba\x03\x16"


@pytest.mark.parametrize("status", ["101 Switching Protocols", "407 Proxy Authentication Required"])
async def test_an_answer_meant_for_a_proxy_is_not_passed_on(status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nUpgrade: x\r\n\r\n".encode()
    async with upstream(saying(answer, [])) as port:
        request = f"GET http://h:{port}/ HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        assert await ask(EgressProxy(open_local), request) == b""


async def test_an_early_hint_is_passed_on_before_the_answer() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    async with upstream(saying(answer, [])) as port:
        got = await ask(
            EgressProxy(open_local), f"GET http://h:{port}/ HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        )
    assert got.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n")


@pytest.mark.parametrize(
    "request_line",
    [
        "GET / HTTP/1.1",
        "GET https://h/ HTTP/1.1",
        "GET ftp://h/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "CONNECT h HTTP/1.1",
        "CONNECT h:0 HTTP/1.1",
        "CONNECT h:70000 HTTP/1.1",
        "CONNECT a b:80 HTTP/1.1",
        "nonsense",
    ],
)
async def test_what_is_no_proxy_request_is_closed_without_a_connection(request_line: str) -> None:
    opened: list[Target] = []

    async def opening(target: Target) -> Stream:
        opened.append(target)
        raise OSError

    assert await ask(EgressProxy(opening), f"{request_line}\r\n\r\n".encode()) == b""
    assert opened == []


async def test_a_blocked_target_is_refused_and_remembered() -> None:
    proxy = EgressProxy(Connector(Policy()).open)
    assert await ask(proxy, b"GET http://127.0.0.1:1/x HTTP/1.1\r\nHost: x\r\n\r\n") == b""
    assert isinstance(proxy.failure("http://127.0.0.1:1/other"), BlockedAddress)
    assert proxy.failure("http://127.0.0.1:2/") is None
    tunnelled = EgressProxy(Connector(Policy()).open)
    got = await ask(tunnelled, b"CONNECT [::1]:443 HTTP/1.1\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 403 ")
    assert isinstance(tunnelled.failure("https://[::1]/"), BlockedAddress)


async def test_chromium_itself_gets_nowhere() -> None:
    proxy = EgressProxy(nowhere)
    got = await ask(proxy, b"CONNECT updates.example:443 HTTP/1.1\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 403 ")
    assert isinstance(proxy.failure("https://updates.example/"), PageFailed)


async def test_a_page_cannot_make_the_proxy_remember_without_end() -> None:
    proxy = EgressProxy(nowhere)
    port = int((await proxy.start()).rpartition(":")[2])
    for number in range(MAX_FAILURES + 5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"CONNECT h{number}:443 HTTP/1.1\r\n\r\n".encode())
        await reader.read()
        writer.close()
    assert proxy.failure("https://h0/") is None
    assert proxy.failure(f"https://h{MAX_FAILURES + 4}/") is not None
    await proxy.close()


async def test_a_spent_budget_cuts_the_page_off() -> None:
    body = b"x" * 50_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + body
    async with upstream(saying(answer, [])) as port:
        request = f"GET http://h:{port}/ HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        assert len(await ask(EgressProxy(open_local, budget=1000), request)) < 1000
        assert (await ask(EgressProxy(open_local), request)).endswith(body)


async def test_closing_cuts_open_tunnels() -> None:
    async with upstream(saying(b"", [])) as port:
        proxy = EgressProxy(open_local)
        own = int((await proxy.start()).rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        writer.write(f"CONNECT h:{port} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await proxy.close()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 2) == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", own)


async def test_a_name_is_resolved_once_and_its_checked_address_is_dialled() -> None:
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address("127.0.0.1")]

    async with upstream(saying(b"", [])) as port:
        allowed = frozenset([Target("127.0.0.1", port)])
        _, writer = await Connector(Policy(allowed), resolver).open(Target("name.example", port))
        assert writer.get_extra_info("peername") == ("127.0.0.1", port)
        writer.close()
    assert asked == ["name.example"]


async def test_names_whose_servers_never_answer_stop_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system's resolver takes a thread for each; a page chooses the names and their servers."""
    answered = threading.Event()
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        if host.endswith("tarpit.example"):
            answered.wait(15)
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    hostile, other = Connector(Policy()).within(), Connector(Policy()).within()
    names = [Target(f"{number}.tarpit.example", 80) for number in range(200)]
    hanging = [asyncio.ensure_future(hostile.admit(name)) for name in names]
    try:
        async with asyncio.timeout(8):
            assert await asyncio.to_thread(lambda: "a file") == "a file"
            with pytest.raises(BlockedAddress):
                await other.admit(Target("name.example", 80))
        assert len(asked) == MOST_NAMES + 1
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        again = asyncio.ensure_future(hostile.admit(names[0]))
        await asyncio.sleep(0.2)
        assert len(asked) == MOST_NAMES + 1  # giving up frees no thread, so no place either
        again.cancel()
    finally:
        answered.set()


async def test_no_address_of_a_name_is_dialled_when_one_is_blocked() -> None:
    async def resolver(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1"), ip_address("10.0.0.1")]

    arrived: list[bytes] = []
    async with upstream(saying(b"", arrived)) as port:
        connector = Connector(Policy(frozenset([Target("127.0.0.1", port)])), resolver)
        with pytest.raises(BlockedAddress, match=r"10\.0\.0\.1"):
            await connector.open(Target("mixed.example", port))
    assert arrived == []


async def heard_by_server(request: bytes, answer: bytes = b"HTTP/1.1 204 No\r\n\r\n") -> bytes:
    """All that a server is sent for ``request``, in which PORT stands for its port."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError):
            while data := await asyncio.wait_for(reader.read(65536), 0.3):
                heard.append(data)
        writer.write(answer)
        writer.close()

    async with upstream(listen) as port:
        await ask(EgressProxy(open_local), request.replace(b"PORT", str(port).encode()))
    return b"".join(heard).replace(str(port).encode(), b"PORT")


def hosts_in(heard: bytes) -> list[bytes]:
    return [line for line in heard.split(b"\r\n") if line.lower().startswith(b"host")]


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: internal\r\n",
        b"host: internal\r\n",
        b"Host: a.example:PORT\r\nX-Forwarded: 1\r\n",
        b"Host: internal.\r\nConnection: Host\r\n",
        b"Host:\r\n",
    ],
)
async def test_a_server_is_told_the_host_of_the_address_that_was_checked(headers: bytes) -> None:
    heard = await heard_by_server(b"GET http://A.example.:PORT/x HTTP/1.1\r\n" + headers + b"\r\n")
    assert hosts_in(heard) == [b"Host: a.example:PORT"]


@pytest.mark.parametrize(
    "rest",
    [
        b"Host: a\r\nHost: internal\r\n\r\n",
        b"Host: a\r\nContent-Length: 1\r\nContent-Length: 40\r\n\r\nx",
        b"Host: a\r\nContent-Length: -1\r\n\r\n",
        b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Host: a\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
        b"Host: a\r\nX: 1\r\n Host: internal\r\nHost : internal\r\n\r\n",
        b"Host: a\r\nno colon\r\n\r\n",
        b"\r\n",
    ],
)
async def test_a_request_that_can_be_read_in_two_ways_reaches_no_server(rest: bytes) -> None:
    assert await heard_by_server(b"POST http://a.example:PORT/ HTTP/1.1\r\n" + rest) == b""


async def test_what_follows_a_request_is_no_second_one() -> None:
    smuggled = b"GET / HTTP/1.1\r\nHost: internal\r\n\r\n"
    for first in (
        b"GET http://a.example:PORT/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST http://a.example:PORT/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        b"POST http://a.example:PORT/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 900\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ):
        heard = await heard_by_server(first + smuggled)
        assert b"internal" not in heard
        assert heard.lower().count(b"content-length") + heard.lower().count(b"chunked") <= 1


async def test_plain_http_in_a_tunnel_is_held_to_the_tunnels_host() -> None:
    tunnel = b"CONNECT a.example:PORT HTTP/1.1\r\nHost: a\r\n\r\n"
    heard = await heard_by_server(tunnel + b"GET /x HTTP/1.1\r\nHost: internal\r\n\r\n")
    assert heard.startswith(b"GET /x HTTP/1.1\r\n")
    assert hosts_in(heard) == [b"Host: a.example:PORT"]
    absolute = b"GET http://internal/x HTTP/1.1\r\nHost: internal\r\n\r\n"
    assert await heard_by_server(tunnel + absolute) == b""
    assert await heard_by_server(tunnel + b"HELO internal\r\n\r\n") == b""


async def test_a_websocket_in_a_tunnel_has_the_tunnels_host_and_then_its_bytes() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Sec-WebSocket-Key: k\r\n" in head
        assert b"Upgrade: websocket\r\n" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + hosts_in(head)[0])
        writer.write(await reader.readexactly(3))
        writer.close()

    async with upstream(talk) as port:
        request = (
            f"CONNECT a.example:{port} HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /s HTTP/1.1\r\nHost: internal\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"
        )
        proxy = EgressProxy(open_local)
        own = int((await proxy.start()).rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        writer.write(request.encode())
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x01a")
        assert (
            await asyncio.wait_for(reader.read(), 5)
            == f"Host: a.example:{port}".encode() + b"\x81\x01a"
        )
        await proxy.close()
