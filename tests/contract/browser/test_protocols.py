"""The official clients, remote: Playwright by both its protocols, and puppeteer."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, Route, async_playwright
from playwright.async_api import Error as PlaywrightError

from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.settings import Settings
from autobot.web.app import create_app
from deployments.browser.driver import driver_command
from deployments.browser.room import BrowserRoom
from tests.contract.browser.playground import REPORT, playground, serve_app
from tests.contract.browser.site import Trap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

KEY, RECORD = make_key(NewKey(name="a", scopes=("browser", "browser:evaluate")))
PLAIN_KEY, PLAIN = make_key(NewKey(name="b", scopes=("browser",)))
PUPPETEER = Path(__file__).parent / "puppeteer"


class Served(NamedTuple):
    """A room on a port of its own, and the site it may visit."""

    room: BrowserRoom
    port: int
    site: str

    def url(self, kind: str, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/api/browser/{kind}{query}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, browser_user: None
) -> AsyncIterator[Served]:
    async def known() -> list[KeyRecord]:
        return [RECORD, PLAIN]

    keys = KeyRing(known)
    await keys.refresh()
    async with playground() as port:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            browser_allow=f"127.0.0.1:{port}",
            browser_sessions=5,
        )
        room = BrowserRoom.of(settings, "here")
        app = create_app("browser", [room.router()], keys)
        async with serve_app(app) as mine:
            yield Served(room, mine, f"http://127.0.0.1:{port}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as running:
        yield running


async def connected(playwright: Playwright, served: Served, kind: str, key: str = KEY) -> Browser:
    if kind == "cdp":
        return await playwright.chromium.connect_over_cdp(served.url("cdp", f"?token={key}"))
    headers = {"Authorization": f"Bearer {key}"}
    return await playwright.chromium.connect(served.url("playwright"), headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["playwright", "cdp"])
async def browser(
    request: pytest.FixtureRequest, playwright: Playwright, served: Served
) -> AsyncIterator[Browser]:
    browser = await connected(playwright, served, request.param)
    yield browser
    await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, served: Served) -> AsyncIterator[Page]:
    context = await browser.new_context(base_url=served.site)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    yield page
    await context.close()


async def test_a_form(page: Page) -> None:
    await page.goto("/form")
    await page.get_by_label("Name").fill("Ann")
    await page.get_by_label("Size").select_option("l")
    await page.get_by_role("button").click()
    assert await page.text_content("#got") == "{'name': 'Ann', 'size': 'l'}"


async def test_a_login(page: Page) -> None:
    await page.goto("/login")
    await page.get_by_label("User").fill("ann")
    await page.get_by_label("Password").fill("tea")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/account")
    assert await page.text_content("#who") == "ann"


async def test_a_download_begins(page: Page) -> None:
    await page.goto("/files")
    async with page.expect_download() as coming:
        await page.click("#get")
    assert (await coming.value).suggested_filename == "report.csv"


async def test_a_download_is_saved_on_the_clients_side(
    playwright: Playwright, served: Served, tmp_path: Path
) -> None:
    browser = await connected(playwright, served, "playwright")
    page = await browser.new_page()
    await page.goto(served.site + "/files")
    async with page.expect_download() as coming:
        await page.click("#get")
    await (await coming.value).save_as(tmp_path / "saved.csv")
    assert (tmp_path / "saved.csv").read_bytes() == REPORT
    await browser.close()


async def test_a_file_upload(page: Page) -> None:
    await page.goto("/files")
    file: Any = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"12345"}
    await page.set_input_files("[type=file]", file)
    await page.click("button")
    assert await page.text_content("#got") == "a.txt 5 bytes"


async def test_a_websocket_page(page: Page) -> None:
    await page.goto("/socket")
    await page.get_by_text("echo: hello").wait_for()


async def test_a_service_worker(page: Page) -> None:
    await page.goto("/sw")
    await page.get_by_text("worker says hi").wait_for()


async def test_a_popup(page: Page) -> None:
    await page.goto("/popup")
    async with page.expect_popup() as coming:
        await page.click("button")
    popup = await coming.value
    await popup.get_by_label("Name").wait_for()
    assert await popup.title() == "Form"


async def test_an_iframe(page: Page) -> None:
    await page.goto("/frame")
    field = page.frame_locator("iframe").get_by_label("Name")
    await field.fill("inside")
    assert await field.input_value() == "inside"


async def test_a_dialog(page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    await page.goto("/dialog")
    await page.click("button")
    assert await page.text_content("button") == "yes"


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


async def test_requests_of_playwrights_driver_pass_the_same_filter(
    playwright: Playwright, served: Served, trap: Trap
) -> None:
    """`page.request` is made by the driver beside Chromium, not by Chromium."""
    browser = await connected(playwright, served, "playwright")
    before = trap.tcp
    page = await browser.new_page()
    assert (await page.request.get(served.site + "/form")).status == 200
    for where in (f"http://127.0.0.1:{trap.port}/", f"http://2130706433:{trap.port}/"):
        assert (await page.request.get(where)).status == 403
    assert trap.tcp == before
    await browser.close()


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


@pytest.mark.parametrize("kind", ["playwright", "cdp"])
async def test_a_connection_shares_nothing_counts_and_leaves_nothing(
    playwright: Playwright, served: Served, kind: str
) -> None:
    assert served.room.connections
    before = served.room.connections.open_now
    first = await connected(playwright, served, kind)
    family = {p.pid for p in psutil.Process().children(recursive=True)}
    page = await first.new_page()
    await page.goto(served.site + "/")
    await page.evaluate("document.cookie = 'left=1; max-age=1000'")
    assert served.room.connections.open_now == before + 1
    assert served.room.sessions.lobby.inside == before + 1
    await first.close()
    second = await connected(playwright, served, kind)
    page = await second.new_page()
    await page.goto(served.site + "/")
    assert await page.evaluate("document.cookie") == ""
    await second.close()
    for _ in range(50):
        if served.room.sessions.lobby.inside == before:
            break
        await asyncio.sleep(0.1)
    assert served.room.sessions.lobby.inside == before
    left = {p.pid for p in psutil.Process().children(recursive=True)}
    assert len(left) < len(family)
    assert len(list(Path("/tmp").glob(f"autobot-browser-{os.getpid()}-connection-*"))) == before


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
    assert served.room.connections
    bystander = await connected(playwright, served, "cdp")
    known = {process.pid for process in psutil.Process().children(recursive=True)}
    victim = await connected(playwright, served, kind)
    page = await victim.new_page()
    running = asyncio.ensure_future(page.wait_for_timeout(20_000))
    lost = asyncio.Event()

    def note(_: Browser) -> None:
        lost.set()

    victim.on("disconnected", note)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may be over already
            fresh = process.pid not in known and process.name() == "chromium"
            if fresh and "--type=" not in " ".join(process.cmdline()):
                process.kill()
    with pytest.raises(PlaywrightError, match=r"closed|has ended"):
        await running
    await asyncio.wait_for(lost.wait(), 10)
    page = await bystander.new_page()
    await page.goto(served.site + "/form")
    assert await page.title() == "Form"
    await bystander.close()


async def test_no_key_a_wrong_key_and_a_key_without_script_are_refused(
    playwright: Playwright, served: Served
) -> None:
    for kind in ("playwright", "cdp"):
        for key, status in (("", 401), ("ab_nonsense", 401), (PLAIN_KEY, 403)):
            with pytest.raises(PlaywrightError, match=str(status)):
                await connected(playwright, served, kind, key)


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
            await connected(playwright, served, "cdp")
        for name in opened:
            await http.delete(f"/api/browser/sessions/{name}", headers=headers)


async def test_puppeteer(served: Served, trap: Trap) -> None:
    if not (PUPPETEER / "node_modules").is_dir():
        install = await asyncio.create_subprocess_exec("npm", "ci", cwd=PUPPETEER)
        assert await install.wait() == 0
    node, _ = driver_command()  # puppeteer wants a newer Node than Debian's
    url = served.url("cdp", f"?token={KEY}")
    before = trap.tcp
    client = await asyncio.create_subprocess_exec(
        *(node, "client.mjs", url, served.site, str(trap.port)),
        cwd=PUPPETEER,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await client.communicate()
    said = json.loads(out)
    blocked = {name: said.pop(name) for name in ("blocked", "file", "proxy")}
    assert said == {
        "form": "{'name': 'Ann', 'size': 'l'}",
        "login": "ann",
        "download": REPORT.decode(),
        "upload": "a.txt 5 bytes",
        "socket": "echo: hello",
        "worker": "worker says hi",
        "popup": "Form",
        "frame": "inside",
        "dialog": "yes",
    }
    assert "loopback address" in blocked["blocked"]
    assert "loopback address" in blocked["proxy"]
    assert "`file:` is blocked" in blocked["file"]
    assert trap.tcp == before
