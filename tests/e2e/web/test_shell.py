"""What every page has: the rail, the palette, the theme, the languages, and access for all."""

import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.web.conftest import DIST, visit
from tests.e2e.web.stub import Platform
from tests.e2e.web.test_automations import ASK, GREET, Api, api

__all__ = ["api"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = DIST.parent / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("Chat", "Automations", "Browser", "Cluster", "Desktop", "Settings")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def violations(page: Page) -> list[str]:
    """What axe finds, and where. The debugger gives it to the page, past the page's policy."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run().then(result => result.violations)")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_on_any_page(
    signed_in: Page, api: Api, web: str, theme: str
) -> None:
    page = signed_in
    await api.publish(GREET)
    run = await api.start(await api.publish(ASK))
    await page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    found: dict[str, list[str]] = {}
    for name in PAGES:
        await visit(page, name)
        await expect(page.get_by_text("All 6 rooms ok")).to_be_attached()
        found[name] = await violations(page)
    for path in ("automations/greet", f"runs/{run}"):
        await page.goto(web + path)
        await page.get_by_role("heading", name=path.partition("/")[2]).wait_for()
        await page.get_by_role("button", name=re.compile("waits for you")).wait_for()
        if path.startswith("automations"):
            await page.get_by_label("The automation's document in YAML").wait_for()
        found[path] = await violations(page)
    await page.get_by_role("button", name=re.compile("waits for you")).click()
    await page.get_by_role("dialog").wait_for()
    found["tray"] = await violations(page)
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    await page.get_by_role("option", name="Chat").first.wait_for()
    found["palette"] = await violations(page)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("API key").wait_for()
    found["sign-in"] = await violations(page)
    told = "\n".join(f"{name}: {one}" for name, several in found.items() for one in several)
    assert not told, told


async def test_every_page_is_reached_by_keyboard_alone(signed_in: Page) -> None:
    page = signed_in
    for name in (*PAGES[1:], PAGES[0]):
        for _ in range(40):
            await page.keyboard.press("Tab")
            focused = await page.evaluate(
                "[document.activeElement.tagName, document.activeElement.textContent.trim()]"
            )
            if focused == ["A", name]:
                break
        else:
            pytest.fail(f"Tab does not come to {name}")
        await page.keyboard.press("Enter")
        await page.get_by_role(
            "heading", name="Rooms" if name == "Cluster" else name
        ).first.wait_for()
        await expect(page.get_by_role("main")).to_be_focused()
        await page.evaluate("document.activeElement.blur()")


async def test_the_palette_goes_anywhere_and_gives_the_focus_back(signed_in: Page) -> None:
    page = signed_in
    await page.keyboard.press("Control+k")
    field = page.get_by_role("dialog").get_by_label("Commands").first
    await expect(field).to_be_focused()
    await page.keyboard.type("settings dark")
    await page.keyboard.press("Enter")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("cluster")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Rooms")).to_be_visible()
    await page.keyboard.press("Control+k")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_chosen_theme_is_there_before_the_first_paint(signed_in: Page) -> None:
    page = signed_in
    await visit(page, "Settings")
    await page.get_by_label("dark").check()
    await page.emulate_media(color_scheme="light")

    async def never(route: Route) -> None:
        """The page's own script does not come."""

    await page.route("**/assets/*.js", never)
    await page.reload(wait_until="commit")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.wait_for_function(
        "getComputedStyle(document.body).backgroundColor != 'rgba(0, 0, 0, 0)'"
    )
    colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(15, 17, 23)"


async def test_the_page_speaks_two_languages_and_remembers_which(signed_in: Page) -> None:
    page = signed_in
    await visit(page, "Settings")
    await page.get_by_label("Deutsch").check()
    await expect(page.get_by_role("heading", name="Einstellungen")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Einstellungen")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await page.get_by_role("navigation").get_by_role("link", name="Abläufe").click()
    await expect(page.get_by_text("Es gibt noch keinen Ablauf.")).to_be_visible()


async def test_a_room_that_is_down_greys_what_needs_it_with_reason_and_remedy(
    signed_in: Page, platform: Platform
) -> None:
    page = signed_in
    platform.rooms["llm"].update(state="down", reason="llm: no answer within 0.8 s")
    await expect(page.get_by_text("Room llm is down")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("no answer within 0.8 s")
    await expect(page.get_by_role("main")).to_contain_text("autobot restart llm")
    await page.get_by_label("Message").fill("Hello")
    await expect(page.get_by_role("button", name="Send")).to_be_disabled()
    await visit(page, "Browser")
    await expect(page.get_by_role("button", name="Open", exact=True)).to_be_enabled()
    platform.rooms["llm"].update(state="ok", reason=None)
    await visit(page, "Chat")
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()


async def test_a_conversation_is_still_there_after_other_pages(signed_in: Page) -> None:
    page = signed_in
    await page.get_by_label("Message").fill("Hello")
    await page.get_by_label("Message").press("Enter")
    await visit(page, "Settings")
    await visit(page, "Chat")
    await expect(page.get_by_role("log")).to_contain_text("work as one.")


async def test_every_page_fits_a_phone(signed_in: Page, api: Api, web: str) -> None:
    page = signed_in
    run = await api.start(await api.publish(ASK))
    for width in (390, 320):
        await page.set_viewport_size({"width": width, "height": 780})
        for name in PAGES:
            await visit(page, name)
            assert await page.evaluate(OVERFLOW) <= 0, f"{name} at {width}"
        for path in ("automations/ask", f"runs/{run}"):
            await page.goto(web + path)
            await page.get_by_role("heading", name=path.partition("/")[2]).wait_for()
            assert await page.evaluate(OVERFLOW) <= 0, f"{path} at {width}"


async def test_an_address_of_a_page_can_be_opened_directly(signed_in: Page, web: str) -> None:
    await signed_in.goto(f"{web}settings")
    await expect(signed_in.get_by_role("heading", name="Settings")).to_be_visible()
    await signed_in.goto(f"{web}no-such-page")
    await expect(signed_in.get_by_role("heading", name="Chat")).to_be_visible()
