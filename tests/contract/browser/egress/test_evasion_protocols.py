"""The same ways to a blocked address, tried by clients of the protocols: held, logged and told."""

import contextlib
from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest
import pytest_asyncio
import structlog
from playwright.async_api import Browser, Playwright
from playwright.async_api import Error as PlaywrightError

from tests.contract.browser.clients import KEY, PLAIN_KEY, RECORD, Served, connected, until
from tests.contract.browser.conftest import serve_protocols
from tests.contract.browser.egress.test_evasion import OTHER_WAYS, TCP_WAYS, visit
from tests.contract.browser.site import Site, Trap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caged(
    tmp_path_factory: pytest.TempPathFactory, site: Site, browser_user: None
) -> AsyncIterator[Served]:
    async with serve_protocols(tmp_path_factory.mktemp("home"), site.port) as serving:
        yield serving


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["playwright", "cdp"])
async def client(
    request: pytest.FixtureRequest, playwright: Playwright, caged: Served
) -> AsyncIterator[Browser]:
    async with connected(playwright, caged, request.param) as browser:
        yield browser


async def told(caged: Served) -> tuple[int, list[str]]:
    """What the room tells the owner of the one open connection: how many refusals, and why."""
    where = f"http://127.0.0.1:{caged.port}/api/browser/connections"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as http:
        (connection,) = (await http.get(where)).json()["connections"]
    return connection["refused"], connection["blocked"]


@contextlib.asynccontextmanager
async def looking(
    client: Browser, site: Site, trap: Trap, html: str, wait_until: Literal["load", "networkidle"]
) -> AsyncIterator[None]:
    """A page in a context of its own that tries ``html``; a way that navigates fails to load."""
    page, _ = visit(site, trap, html)
    context = await client.new_context()
    try:
        tab = await context.new_page()
        assert page.url is not None
        with contextlib.suppress(PlaywrightError):
            await tab.goto(page.url, wait_until=wait_until, timeout=5000)
        yield
    finally:
        await context.close()


@pytest.mark.parametrize("way", TCP_WAYS)
async def test_a_clients_page_is_held_and_its_owner_is_told(
    caged: Served, client: Browser, site: Site, trap: Trap, way: str
) -> None:
    packets = trap.tcp, trap.udp
    refused, _ = await told(caged)
    with structlog.testing.capture_logs() as logs:
        connections = caged.room.connections
        assert connections
        async with looking(client, site, trap, TCP_WAYS[way], "load"):
            await until(lambda: connections.all(RECORD.id)[0]["refused"] > refused)
    assert (trap.tcp, trap.udp) == packets
    now, reasons = await told(caged)
    assert now > refused
    assert any(f":{trap.port} is blocked: " in reason for reason in reasons)
    assert [
        log for log in logs if log["event"] == "browser.blocked" and str(trap.port) in log["target"]
    ]


@pytest.mark.parametrize("way", OTHER_WAYS)
async def test_what_is_no_connection_of_a_page_puts_no_packet_on_the_trap(
    client: Browser, site: Site, trap: Trap, way: str
) -> None:
    packets = trap.tcp, trap.udp
    async with looking(client, site, trap, OTHER_WAYS[way], "networkidle"):
        pass
    assert (trap.tcp, trap.udp) == packets


async def test_connections_are_told_to_their_owner_alone(caged: Served, client: Browser) -> None:
    where = f"http://127.0.0.1:{caged.port}/api/browser/connections"
    async with httpx.AsyncClient() as http:
        mine = await http.get(where, headers={"authorization": f"Bearer {KEY}"})
        other = await http.get(where, headers={"authorization": f"Bearer {PLAIN_KEY}"})
        nobody = await http.get(where)
    assert len(mine.json()["connections"]) == 1
    assert other.json()["connections"] == []
    assert nobody.status_code == 401
