"""How protocol connections begin and end, and what is left of them."""

import asyncio
import contextlib
import os
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Playwright

from deployments.browser.chromium.service import ChromiumBrowser
from tests.contract.browser.clients import KEY, PLAIN_KEY, Served, connected, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("kind", ["playwright", "cdp"])
async def test_a_connection_shares_nothing_counts_and_leaves_nothing(
    playwright: Playwright, served: Served, kind: str
) -> None:
    assert served.room.connections
    assert isinstance(served.room.browser, ChromiumBrowser)
    await served.room.browser.chosen()  # the shared browser is no part of a connection
    before = served.room.connections.open_now
    known = children()
    async with connected(playwright, served, kind) as first:
        family = children() - known
        page = await first.new_page()
        await page.goto(served.site + "/")
        await page.evaluate("document.cookie = 'left=1; max-age=1000'")
        assert served.room.connections.open_now == before + 1
        assert served.room.sessions.admission.inside == before + 1
    async with connected(playwright, served, kind) as second:
        page = await second.new_page()
        await page.goto(served.site + "/")
        assert await page.evaluate("document.cookie") == ""
    assert served.room.connections.open_now == before
    assert family
    await until(lambda: not family & children())
    folders = list(Path("/tmp").glob(f"autobot-browser-{os.getpid()}-connection-*"))
    assert len(folders) == before


async def test_cdp_is_found_by_its_http_address(playwright: Playwright, served: Served) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    address = f"http://127.0.0.1:{served.port}/api/browser/cdp"
    browser = await playwright.chromium.connect_over_cdp(address, headers=headers)
    page = await browser.new_page()
    await page.goto(served.site + "/form")
    assert await page.title() == "Form"
    await browser.close()


@pytest.mark.parametrize("kind", ["playwright", "cdp"])
async def test_a_killed_browser_ends_its_connection_and_no_other(
    playwright: Playwright, served: Served, kind: str
) -> None:
    async with connected(playwright, served, "cdp") as bystander:
        known = children()
        async with connected(playwright, served, kind) as victim:
            page = await victim.new_page()
            running = asyncio.ensure_future(page.wait_for_timeout(60_000))
            lost = asyncio.Event()
            victim.on("disconnected", lambda _: lost.set())
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it may be over already
                    fresh = process.pid not in known and process.name() == "chromium"
                    if fresh and "--type=" not in " ".join(process.cmdline()):
                        process.kill()
            with pytest.raises(PlaywrightError, match=r"closed|has ended"):
                await running
            await asyncio.wait_for(lost.wait(), 30)
        page = await bystander.new_page()
        await page.goto(served.site + "/form")
        assert await page.title() == "Form"


async def test_no_key_a_wrong_key_and_a_key_without_script_are_refused(
    playwright: Playwright, served: Served
) -> None:
    for kind in ("playwright", "cdp"):
        for key, status in (("", 401), ("ab_nonsense", 401), (PLAIN_KEY, 403)):
            with pytest.raises(PlaywrightError, match=str(status)):
                async with connected(playwright, served, kind, key):
                    pass


async def test_a_full_room_refuses_connections(playwright: Playwright, served: Served) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as http:
        opened = []
        while True:
            answer = await http.post("/api/browser/sessions", headers=headers, json={"queue_s": 0})
            if answer.status_code == 429:
                break
            opened.append(answer.json()["id"])
        with pytest.raises(PlaywrightError, match="429"):
            async with connected(playwright, served, "cdp"):
                pass
        for name in opened:
            await http.delete(f"/api/browser/sessions/{name}", headers=headers)
