"""The real built page, served by room frontend's own routes, against a stand-in for the ingress."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from autobot.web import problems
from deployments.frontend.routes import Platform as Addresses
from deployments.frontend.routes import web_routes
from deployments.frontend.site import Site
from tests.e2e.web.stub import KEY, Platform, free_port, serving

DIST = Path(__file__).parents[3] / "deployments" / "frontend" / "web" / "dist"
DESKTOP_PORT = 6080
# Longer than a poll and its deadline together, on a machine that is busy with other tests.
PATIENCE_MS = 15_000
# What a browser logs of every HTTP error and lost connection, and the tests cause both on purpose.
EXPECTED_LOG = "Failed to load resource"


@dataclass
class Ingress:
    """The stand-in's server, which a test can take away and bring back on the same port."""

    platform: Platform
    port: int = field(default_factory=free_port)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def up(self) -> None:
        self._stack.enter_context(serving(self.platform.app(), self.port))

    def down(self) -> None:
        self._stack.close()


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def ingress(platform: Platform) -> Iterator[Ingress]:
    ingress = Ingress(platform)
    ingress.up()
    yield ingress
    ingress.down()


@pytest.fixture
def web(ingress: Ingress) -> Iterator[str]:
    """URL of the page."""
    site = Site(DIST)
    assert site.built, "the page is not built: run `make web`"
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.include_router(web_routes(site, Addresses(None, ingress.port, DESKTOP_PORT)))
    port = free_port()
    with serving(app, port):
        yield f"http://127.0.0.1:{port}/"


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all these tests: each gets its own context, which shares nothing."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    # Chromium's sandbox refuses to run as root; this browser visits nothing but loopback.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, web: str) -> AsyncIterator[Page]:
    """A new visitor at the sign-in. A page that throws or breaks its own policy fails the test."""
    complaints: list[str] = []

    def listen(line: ConsoleMessage) -> None:
        if line.type == "error" and EXPECTED_LOG not in line.text:
            complaints.append(line.text)

    async with await browser.new_context(viewport={"width": 1440, "height": 860}) as context:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", listen)
        await page.goto(web)
        yield page
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def signed_in(page: Page) -> Page:
    await sign_in(page, KEY)
    await page.get_by_role("heading", name="Chat").wait_for()
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def cluster_page(signed_in: Page) -> Page:
    await visit(signed_in, "Cluster")
    return signed_in


@pytest_asyncio.fixture(loop_scope="session")
async def browser_page(signed_in: Page) -> Page:
    await visit(signed_in, "Browser")
    return signed_in


async def visit(page: Page, name: str) -> None:
    """Go to a page of the rail."""
    await page.get_by_role("navigation").get_by_role("link", name=name).click()
    heading = "Rooms" if name == "Cluster" else name
    await page.get_by_role("heading", name=heading, exact=True).wait_for()


async def sign_in(page: Page, key: str) -> None:
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
