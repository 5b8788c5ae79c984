"""Clients' own protocols: the official clients do on our pages what they do on any."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Playwright

from autobot import nodejs
from deployments.browser.chromium.driver import driver_command
from tests.contract.browser.clients import KEY, Served, connected
from tests.contract.browser.playground import REPORT
from tests.contract.browser.site import Trap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PUPPETEER = Path(__file__).parent / "puppeteer"


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
    async with connected(playwright, served, "playwright") as browser:
        page = await browser.new_page()
        await page.goto(served.site + "/files")
        async with page.expect_download() as coming:
            await page.click("#get")
        await (await coming.value).save_as(tmp_path / "saved.csv")
    assert (tmp_path / "saved.csv").read_bytes() == REPORT


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


async def test_puppeteer(served: Served, trap: Trap) -> None:
    if not (PUPPETEER / "node_modules").is_dir():
        node = nodejs.require()
        command = (*node.npm, "ci")
        install = await asyncio.create_subprocess_exec(
            *command, cwd=PUPPETEER, env=node.environment
        )
        assert await install.wait() == 0
    node, _ = driver_command()  # puppeteer wants a newer Node than Debian's
    url = served.url("cdp").replace("ws://", f"ws://autobot:{KEY}@")
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


async def test_a_call_that_is_given_up_ends_only_itself(page: Page) -> None:
    waiting = asyncio.ensure_future(page.wait_for_selector("#never", timeout=60_000))
    await page.evaluate("1")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await page.evaluate("1 + 1") == 2
