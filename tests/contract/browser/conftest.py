"""The two browsers under one contract, and what they visit."""

import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser as ClientBrowser
from playwright.async_api import Page, Playwright, async_playwright

from autobot.contracts.profiles import FakeProfiles, Profiles
from autobot.keys import KeyRecord
from autobot.platform.browser_users import BROWSER_USER
from autobot.settings import Settings
from autobot.web.app import create_app
from deployments.browser.chromium.isolation.memory import Meter
from deployments.browser.chromium.service import ChromiumBrowser
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Policy, Target
from deployments.browser.engine import Browser
from deployments.browser.fake import FakeBrowser
from deployments.browser.room import BrowserRoom
from deployments.browser.sessions.service import Sessions
from tests.contract.browser import clients
from tests.contract.browser.affinity.two_vms import Vms, small_room, two_vms
from tests.contract.browser.callers import KEY, PLAIN, PLAIN_KEY, RECORD, Caller, Sitting, ring
from tests.contract.browser.clients import Served, connected
from tests.contract.browser.playground import playground, serve_app
from tests.contract.browser.site import Site, Trap, serve_site, set_trap


class Rig(NamedTuple):
    """A running browser, how to crash it, and the site it is allowed to visit."""

    browser: Browser
    crash: Callable[[], Awaitable[None]]
    site: Site
    trap: Trap


@pytest.fixture(scope="session")
def browser_user() -> None:
    """What set-up does: as root, Chromium needs a user of its own."""
    if os.geteuid() == 0 and BROWSER_USER not in {entry.pw_name for entry in pwd.getpwall()}:
        shell = ["--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run(["useradd", "--system", *shell, BROWSER_USER], check=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    async with serve_site() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trap() -> AsyncIterator[Trap]:
    async with set_trap() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(
    tmp_path_factory: pytest.TempPathFactory, site: Site, trap: Trap, browser_user: None
) -> AsyncIterator[Rig]:
    browser = real_browser(tmp_path_factory.mktemp("home"), f"127.0.0.1:{site.port}")
    browser.start()

    async def crash() -> None:
        alive = await browser.restarter.get()
        for pid in (await alive.processes())["browser"]:
            os.kill(pid, signal.SIGKILL)
        await alive.ended.wait()

    yield Rig(browser, crash, site, trap)
    await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fake(site: Site, trap: Trap) -> AsyncIterator[Rig]:
    allowed = frozenset([Target("127.0.0.1", site.port)])
    browser = FakeBrowser(Connector(Policy(allowed)), running=2, waiting=2)
    browser.start()
    yield Rig(browser, browser.crash, site, trap)
    await browser.close()


@pytest.fixture(scope="module", params=["fake", "chromium"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return request.getfixturevalue(request.param)


def real_browser(home: Path, allow: str, connector: Connector | None = None) -> ChromiumBrowser:
    """A real browser with two slots and eight places in line, for whoever must start their own."""
    settings = Settings(home=home, browser_allow=allow, browser_concurrency=2)
    return ChromiumBrowser(settings, connector)


def room_of(browser: Browser, most: int = 4, profiles: Profiles | None = None) -> BrowserRoom:
    """The room around ``browser``, whose memory is without bounds."""
    sessions = Sessions(browser, "here", Meter(1 << 40, lambda: 0), most)
    return BrowserRoom(browser, sessions, profiles or FakeProfiles(()))


@contextlib.asynccontextmanager
async def serve_room(
    browser: Browser, records: Sequence[KeyRecord], **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The room around ``browser`` over HTTP, for the keys of ``records``."""
    room = room_of(browser, most=8, **options)
    app = create_app("browser", [room.router()], await ring(*records), lifespan=None)
    room.sessions.start()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://room", timeout=60) as http:
        try:
            yield http
        finally:
            await room.sessions.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(
    tmp_path_factory: pytest.TempPathFactory, browser_user: None
) -> AsyncIterator[tuple[Caller, Caller]]:
    async with playground() as port:
        browser = real_browser(tmp_path_factory.mktemp("home"), f"127.0.0.1:{port}")
        browser.start()
        home = f"http://127.0.0.1:{port}"
        async with serve_room(browser, [RECORD, PLAIN]) as http:
            yield Caller(http, home, KEY), Caller(http, home, PLAIN_KEY)
        await browser.close()


@pytest.fixture
def caller(callers: tuple[Caller, Caller]) -> Caller:
    return callers[0]


@pytest_asyncio.fixture(loop_scope="module")
async def sitting(caller: Caller) -> AsyncIterator[Sitting]:
    session = await caller.open()
    yield session
    await caller.ask("DELETE", session.path)


@contextlib.asynccontextmanager
async def serve_protocols(home: Path, port: int) -> AsyncIterator[Served]:
    """The room on a port, for the keys of `clients`; it may visit loopback's ``port``."""
    keys = await ring(clients.RECORD, clients.PLAIN, clients.LISTED)
    settings = Settings(home=home, browser_allow=f"127.0.0.1:{port}", browser_sessions=8)
    room = BrowserRoom.of(settings, "here", FakeProfiles(()))
    app = create_app("browser", [room.router()], keys)
    async with serve_app(app) as mine:
        yield Served(room, mine, f"http://127.0.0.1:{port}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, browser_user: None
) -> AsyncIterator[Served]:
    home = tmp_path_factory.mktemp("home")
    async with playground() as port, serve_protocols(home, port) as serving:
        yield serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["playwright", "cdp"])
async def browser(
    request: pytest.FixtureRequest, playwright: Playwright, served: Served
) -> AsyncIterator[ClientBrowser]:
    async with connected(playwright, served, request.param) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: ClientBrowser, served: Served) -> AsyncIterator[Page]:
    context = await browser.new_context(base_url=served.site)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    yield page
    await context.close()


async def processes(rig: Rig) -> dict[str, list[int]]:
    assert isinstance(rig.browser, ChromiumBrowser)
    return await (await rig.browser.restarter.get()).processes()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Vms]:
    async with two_vms(small_room, [RECORD, PLAIN], KEY, "http://unused") as vms:
        yield vms


@pytest_asyncio.fixture(loop_scope="module")
async def vms(both: Vms) -> AsyncIterator[Vms]:
    """Both, with no session left of the test before."""
    yield both
    for vm in both:
        for record in vm.room.sessions.all(RECORD.id):
            await vm.room.sessions.end(RECORD.id, record.id)
