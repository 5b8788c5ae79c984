"""Two VMs of the room, as two ports of loopback: each has its own browser and knows the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import httpx
from starlette.middleware import Middleware

from autobot.contracts.profiles import FakeProfiles
from autobot.keys import KeyRecord
from autobot.web.app import create_app
from deployments.browser.affinity.peer_client import peers_client
from deployments.browser.affinity.router import AffinityRouter
from deployments.browser.affinity.session_ids import replica_name
from deployments.browser.chromium.isolation.memory import Meter
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Policy
from deployments.browser.fake import FakeBrowser
from deployments.browser.room import BrowserRoom
from deployments.browser.sessions.service import Sessions
from tests.contract.browser.callers import Caller, Sitting, ring
from tests.contract.browser.playground import serve_app

FIRST, SECOND = "127.0.0.11", "127.0.0.12"
MOST = 3
"""Sessions that one key may have on a VM; one place more is for other keys."""
"""Sessions of a VM with `small_room`."""
RoomOf = Callable[[str], BrowserRoom]
"""Makes a room, given its replica's name."""


class Vm(NamedTuple):
    """One VM: what it is called, its room, where it believes the other is, and its caller."""

    address: str
    room: BrowserRoom
    others: dict[str, str]
    port: int
    caller: Caller

    def url(self, path: str, key: str | None = None) -> str:
        """Where a WebSocket is; with ``key`` for a client that is given nothing but an address."""
        who = f"autobot:{key}@" if key else ""
        return f"ws://{who}127.0.0.1:{self.port}/api/browser{path}"


Vms = tuple[Vm, Vm]


@contextlib.asynccontextmanager
async def two_vms(
    room_of: RoomOf, records: Sequence[KeyRecord], key: str, home: str
) -> AsyncIterator[Vms]:
    """Serve both for ``records``; their callers have ``key``, and ``home`` is what they visit."""
    keys = await ring(*records)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(peers_client())
        made: list[Vm] = []
        for address in (FIRST, SECOND):
            room, others = room_of(replica_name(address, "replica")), dict[str, str]()
            options: dict[str, Any] = {
                "others": lambda others=others: others,
                "client": client,
            }
            headers = {"x-autobot-node": address}
            middleware = [Middleware(AffinityRouter, **options)]
            app = create_app(
                "browser", [room.router()], keys, headers=headers, middleware=middleware
            )
            port = await stack.enter_async_context(serve_app(app))
            base = f"http://127.0.0.1:{port}"
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=60))
            made.append(Vm(address, room, others, port, Caller(http, home, key)))
        first, second = made
        first.others[SECOND] = f"127.0.0.1:{second.port}"
        second.others[FIRST] = f"127.0.0.1:{first.port}"
        yield first, second


def small_room(replica: str) -> BrowserRoom:
    browser = FakeBrowser(Connector(Policy()))
    sessions = Sessions(browser, replica, Meter(1 << 40, lambda: 0), MOST + 1)
    return BrowserRoom(browser, sessions, FakeProfiles(()))


async def opened(vm: Vm, seen_from: Vm) -> Sitting:
    """A session of ``vm``, in the hands of somebody who speaks to another one."""
    session = await vm.caller.open()
    return Sitting(seen_from.caller, session.id)


@contextlib.asynccontextmanager
async def breaking_off() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads a request and closes; and what it has read."""
    read: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}", read
