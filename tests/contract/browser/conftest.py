"""The two browsers under one contract, and what they visit."""

import os
import pwd
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from autobot.settings import Settings
from deployments.browser.chromium import ChromiumBrowser
from deployments.browser.dial import Dialer
from deployments.browser.egress import Policy, Target
from deployments.browser.engine import Browser
from deployments.browser.fake import FakeBrowser
from deployments.browser.launch import USER
from deployments.browser.memory import Meter
from deployments.browser.room import BrowserRoom
from deployments.browser.sessions import Sessions
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
    if os.geteuid() == 0 and USER not in {entry.pw_name for entry in pwd.getpwall()}:
        shell = ["--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run(["useradd", "--system", *shell, USER], check=True)


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
        alive = await browser.keeper.get()
        for pid in (await alive.processes())["browser"]:
            os.kill(pid, signal.SIGKILL)
        await alive.ended.wait()

    yield Rig(browser, crash, site, trap)
    await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fake(site: Site, trap: Trap) -> AsyncIterator[Rig]:
    allowed = frozenset([Target("127.0.0.1", site.port)])
    browser = FakeBrowser(Dialer(Policy(allowed)), running=2, waiting=2)
    browser.start()
    yield Rig(browser, browser.crash, site, trap)
    await browser.close()


@pytest.fixture(scope="module", params=["fake", "chromium"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return request.getfixturevalue(request.param)


def real_browser(home: Path, allow: str, dialer: Dialer | None = None) -> ChromiumBrowser:
    """A real browser with two slots and eight places in line, for whoever must start their own."""
    settings = Settings(home=home, browser_allow=allow, browser_concurrency=2)
    return ChromiumBrowser(settings, dialer)


def room_of(browser: Browser, most: int = 4) -> BrowserRoom:
    """The room around ``browser``, whose memory is without bounds."""
    sessions = Sessions(browser, "here", Meter(1 << 40, lambda: 0), most)
    return BrowserRoom(browser, sessions)
