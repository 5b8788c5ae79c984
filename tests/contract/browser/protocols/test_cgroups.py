"""What clients of the protocols may not do."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Playwright, Route
from playwright.async_api import Error as PlaywrightError

from tests.contract.browser.clients import LISTED_KEY, Served, connected
from tests.contract.browser.site import Trap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:TRAP/", "127.0.0.1 is a loopback address"),
        ("http://2130706433:TRAP/", "127.0.0.1 is a loopback address"),
        ("http://[::ffff:127.0.0.1]:TRAP/", "is a loopback address"),
        ("http://172.16.168.23/", "is a cluster address"),
        ("file:///etc/passwd", "`file:` is blocked"),
        ("FILE:///etc/passwd", "`file:` is blocked"),
        ("view-source:file:///etc/passwd", "is blocked"),
        ("chrome://version", "is blocked"),
        ("data:text/html,hi", "http and https only"),
    ],
)
async def test_a_blocked_address_is_named_to_the_client(
    page: Page, trap: Trap, url: str, reason: str
) -> None:
    before = trap.tcp
    with pytest.raises(PlaywrightError, match=reason):
        await page.goto(url.replace("TRAP", str(trap.port)))
    assert trap.tcp == before


@pytest.mark.parametrize("kind", ["playwright", "cdp"])
async def test_a_keys_list_of_domains_holds_whatever_the_connection_allows(
    playwright: Playwright, served: Served, kind: str
) -> None:
    query = "&allow=127.0.0.1"
    async with connected(playwright, served, kind, LISTED_KEY, query) as browser:
        page = await browser.new_page()
        with pytest.raises(PlaywrightError, match="not on the allow list of this API key"):
            await page.goto(served.site + "/form")
    async with connected(playwright, served, kind, query="&deny=127.0.0.1") as browser:
        page = await browser.new_page()
        with pytest.raises(PlaywrightError, match="on the deny list of this connection"):
            await page.goto(served.site + "/form")


async def test_requests_of_playwrights_driver_pass_the_same_filter(
    playwright: Playwright, served: Served, trap: Trap
) -> None:
    """`page.request` is made by the driver beside Chromium, not by Chromium."""
    before = trap.tcp
    async with connected(playwright, served, "playwright") as browser:
        page = await browser.new_page()
        assert (await page.request.get(served.site + "/form")).status == 200
        for where in (f"http://127.0.0.1:{trap.port}/", f"http://2130706433:{trap.port}/"):
            assert (await page.request.get(where)).status == 403
    assert trap.tcp == before


async def test_a_client_cannot_choose_its_way_out(
    browser: Browser, served: Served, trap: Trap
) -> None:
    before = trap.tcp
    context, said = None, ""
    try:
        context = await browser.new_context(proxy={"server": f"http://127.0.0.1:{trap.port}"})
    except PlaywrightError as error:  # by Playwright's protocol; over CDP the proxy is dropped
        said = error.message
    assert context or "cannot be chosen" in said
    if context:
        page = await context.new_page()
        with pytest.raises(PlaywrightError, match="a documentation address"):
            await page.goto("http://198.51.100.1/", timeout=5000)
        await context.close()
    assert trap.tcp == before


@pytest.mark.parametrize("where", ["file:///etc/hostname", "chrome://version", "data:text/html,hi"])
async def test_an_answer_the_client_makes_up_leads_to_no_file(page: Page, where: str) -> None:
    """A client may answer requests itself; Chromium follows no such redirect, and we rely on it."""

    async def redirect(route: Route) -> None:
        await route.fulfill(status=302, headers={"Location": where})

    await page.goto("/form")
    script = "w => { location = w; return new Promise(r => setTimeout(r, 300)); }"
    with contextlib.suppress(PlaywrightError):
        await page.evaluate(script, where)
    assert page.url.endswith("/form")
    await page.route("**/made-up", redirect)
    with pytest.raises(PlaywrightError):
        await page.goto("/made-up")
    await asyncio.sleep(0.3)
    assert page.url.startswith(("http:", "chrome-error:"))


async def test_raw_commands_are_judged_too(page: Page, served: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    session = await page.context.new_cdp_session(page)
    await page.goto("/files")
    document = await session.send("DOM.getDocument")
    field = await session.send(
        "DOM.querySelector", {"nodeId": document["root"]["nodeId"], "selector": "[type=file]"}
    )
    for method, params in (
        ("Page.navigate", {"url": "file:///etc/passwd"}),
        ("Target.createTarget", {"url": "chrome://version"}),
        ("Target.exposeDevToolsProtocol", {"targetId": "x"}),
        ("Target.sendMessageToTarget", {"message": "{}"}),
        ("Extensions.loadUnpacked", {"path": "/tmp"}),
        ("Tethering.bind", {"port": 9999}),
        ("Browser.executeBrowserCommand", {"commandId": "openTabSearch"}),
        ("DOM.setFileInputFiles", {"files": [str(secret)], "nodeId": field["nodeId"]}),
    ):
        with pytest.raises(PlaywrightError, match=r"blocked|not available|by content"):
            await session.send(method, params)
