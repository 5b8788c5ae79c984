"""The six rooms, live."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.web.conftest import DESKTOP_PORT, Ingress, visit
from tests.e2e.web.stub import ADDRESSES, Platform, room

pytestmark = pytest.mark.asyncio(loop_scope="session")


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name)


async def test_six_rooms_are_shown_with_what_runs_in_them(cluster_page: Page) -> None:
    names = await cluster_page.get_by_role("article").get_by_role("heading").all_text_contents()
    assert names == list(ADDRESSES)
    for name, address in ADDRESSES.items():
        await expect(card(cluster_page, name)).to_contain_text(address)
        await expect(card(cluster_page, name)).to_contain_text("1.2 ms")
        await expect(card(cluster_page, name).get_by_text("ok", exact=True)).to_be_visible()
    await expect(card(cluster_page, "llm")).to_contain_text("qwen2.5-coder-1.5b-instruct")
    await expect(card(cluster_page, "npu")).to_contain_text("CPU")
    await expect(cluster_page.get_by_role("status")).to_have_text("All 6 rooms ok")


async def test_room_that_goes_down_turns_red_by_itself_and_back(
    cluster_page: Page, platform: Platform
) -> None:
    browser = card(cluster_page, "browser")
    await expect(browser).to_have_class(re.compile(r"\bok\b"))
    platform.rooms["browser"].update(
        state="down", reason="browser: no answer within 0.8 s", latency_ms=None
    )
    await expect(browser).to_have_class(re.compile(r"\bdown\b"))
    await expect(browser).to_contain_text("no answer within 0.8 s")
    await expect(browser.get_by_text("down", exact=True)).to_have_css("color", "rgb(192, 32, 47)")
    await expect(cluster_page.get_by_role("status")).to_have_text("browser down")
    await expect(card(cluster_page, "llm").get_by_text("ok", exact=True)).to_be_visible()
    platform.rooms["browser"] = room("browser")
    await expect(browser).to_have_class(re.compile(r"\bok\b"))


async def test_outage_of_main_is_told_and_ends_by_itself(
    cluster_page: Page, ingress: Ingress
) -> None:
    await expect(card(cluster_page, "npu").get_by_text("ok", exact=True)).to_be_visible()
    ingress.down()
    alert = cluster_page.get_by_role("alert").filter(has_text="main unreachable since")
    await expect(alert).to_have_text(re.compile(r"since \d\d:\d\d:\d\d"))
    since = await alert.text_content()
    await expect(card(cluster_page, "npu").get_by_text("unknown", exact=True)).to_be_visible()
    await expect(card(cluster_page, "npu")).to_contain_text("last seen ok")
    await expect(
        cluster_page.get_by_text(re.compile(r"^\s*([3-9]|\d\d+) s without an answer"))
    ).to_be_visible()
    assert await alert.text_content() == since
    ingress.up()
    await expect(alert).to_have_count(0)
    await expect(card(cluster_page, "npu").get_by_text("ok", exact=True)).to_be_visible()


async def test_main_that_never_finishes_its_answer_counts_as_an_outage(
    cluster_page: Page, platform: Platform
) -> None:
    await cluster_page.route("**/api/health", lambda route: None)  # taken, and never answered
    await expect(cluster_page.get_by_text("No answer within 4 s.")).to_be_visible()


async def test_desktop_link_opens_it_on_the_machine_of_main(cluster_page: Page) -> None:
    await visit(cluster_page, "Desktop")
    link = cluster_page.get_by_role("main").get_by_role("link", name="Desktop")
    await expect(link).to_have_attribute("href", f"http://127.0.0.1:{DESKTOP_PORT}/vnc.html")


async def test_theme_follows_the_choice_and_is_remembered(cluster_page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = await cluster_page.evaluate(background)
    await cluster_page.get_by_role("button", name="Theme: auto").click()
    await cluster_page.get_by_role("button", name="Theme: light").click()
    await expect(cluster_page.get_by_role("button", name="Theme: dark")).to_be_visible()
    dark = await cluster_page.evaluate(background)
    assert dark != light
    await cluster_page.reload()
    await expect(cluster_page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert await cluster_page.evaluate(background) == dark


async def test_page_fits_a_phone_without_sideways_scrolling(cluster_page: Page) -> None:
    await expect(card(cluster_page, "llm")).to_contain_text("qwen")
    for width in (320, 390, 768, 1100):
        await cluster_page.set_viewport_size({"width": width, "height": 800})
        overflow = await cluster_page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{overflow} px too wide at {width}"
