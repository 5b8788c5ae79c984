"""Browser sessions: opened, watched live, and driven by mouse and keyboard."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.web.conftest import PATIENCE_MS
from tests.e2e.web.stub import Platform
from tests.e2e.web.stub_browser import COLOUR, PICTURES, SIZE, Browsing

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIDDLE = """canvas => Array.from(canvas.getContext("2d")
    .getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data.slice(0, 3))"""

PRESS = "(element, key) => element.dispatchEvent(new KeyboardEvent('keydown', {key}))"


@pytest.fixture
def browsing(platform: Platform) -> Browsing:
    return platform.browsing


def canvas_of(page: Page) -> Locator:
    return page.get_by_label("Live picture of the session's page")


def keys_of(page: Page) -> Locator:
    return page.get_by_label("Keys for the session's page")


async def until(true: Callable[[], Any]) -> None:
    """Wait for what the server hears a moment after the page did it."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


async def watching(page: Page) -> Locator:
    """Open a session and wait for its picture."""
    await page.get_by_label("Address to open in a session").fill("example.org")
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.get_by_text("The agent has the wheel")).to_be_visible()
    await expect(canvas_of(page)).to_be_visible()
    return canvas_of(page)


async def driving(page: Page) -> Locator:
    canvas = await watching(page)
    await page.get_by_role("button", name="Take the wheel").click()
    await expect(page.get_by_text("You have the wheel")).to_be_visible()
    await expect(keys_of(page)).to_be_focused()
    return canvas


async def test_a_session_is_opened_and_its_pictures_are_shown_and_acknowledged(
    browser_page: Page, browsing: Browsing
) -> None:
    canvas = await watching(browser_page)
    await until(lambda: browsing.acks == PICTURES)
    shown = await canvas.evaluate(MIDDLE)
    assert all(abs(a - b) < 8 for a, b in zip(shown, COLOUR, strict=True)), shown
    sessions = browser_page.get_by_role("list", name="Open sessions").get_by_role("listitem")
    await expect(sessions).to_have_count(1)
    await expect(sessions).to_contain_text("https://example.org/")


async def test_vms_whose_sessions_are_missing_in_the_list_are_named(
    browser_page: Page, browsing: Browsing
) -> None:
    browsing.silent_vms = ["172.16.168.26"]
    await expect(browser_page.get_by_text("No answer from 172.16.168.26")).to_be_visible()
    browsing.silent_vms = []
    await expect(browser_page.get_by_text("No answer from")).to_have_count(0)


async def test_mouse_and_keys_reach_the_page_in_its_own_pixels(
    browser_page: Page, browsing: Browsing
) -> None:
    canvas = await driving(browser_page)
    box = await canvas.bounding_box()
    assert box is not None
    scale = box["width"] / SIZE[0]
    await canvas.dblclick(position={"x": 320 * scale, "y": 100 * scale})
    await browser_page.mouse.wheel(0, 90)
    await browser_page.keyboard.press("a")
    # Playwright has no key for it: its `type` would insert it into some text field of the page.
    await keys_of(browser_page).evaluate(PRESS, "é")
    await browser_page.keyboard.press("Enter")
    await until(lambda: browsing.heard[-1] == {"type": "key_up", "key": "Enter"})
    heard = {
        kind: [said for said in browsing.heard if said["type"] == kind]
        for kind in ("down", "up", "wheel", "key_down", "text")
    }
    assert [said["clicks"] for said in heard["down"]] == [1, 2]
    assert [said["clicks"] for said in heard["up"]] == [1, 2]
    assert abs(heard["down"][0]["x"] - 320) <= 1
    assert abs(heard["down"][0]["y"] - 100) <= 1
    assert sum(said["dy"] for said in heard["wheel"]) == 90
    assert [said["key"] for said in heard["key_down"]] == ["a", "Enter"]
    assert [said["text"] for said in heard["text"]] == ["é"]


async def test_what_is_pasted_arrives_as_text(browser_page: Page, browsing: Browsing) -> None:
    await driving(browser_page)
    await keys_of(browser_page).evaluate(
        """keys => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", "two\\nlines");
            keys.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true}));
        }"""
    )
    await until(lambda: {"type": "text", "text": "two\nlines"} in browsing.heard)


async def test_what_a_phones_keyboard_and_an_input_method_write_arrives(
    browser_page: Page, browsing: Browsing
) -> None:
    await driving(browser_page)
    method = await browser_page.context.new_cdp_session(browser_page)
    for text in ("に", "にほ"):  # shown while it is being composed, and not sent yet
        place = {"selectionStart": len(text), "selectionEnd": len(text)}
        await method.send("Input.imeSetComposition", {"text": text, **place})
    assert await keys_of(browser_page).evaluate("keys => getComputedStyle(keys).opacity") == "1"
    await method.send("Input.insertText", {"text": "日本"})
    await until(lambda: {"type": "text", "text": "日本"} in browsing.heard)
    assert [said["text"] for said in browsing.heard if said["type"] == "text"] == ["日本"]
    await browser_page.keyboard.insert_text("hello ")
    await until(lambda: {"type": "text", "text": "hello "} in browsing.heard)
    await keys_of(browser_page).evaluate("() => document.execCommand('delete')")
    await until(lambda: browsing.heard[-1] == {"type": "key_up", "key": "Backspace"})


async def test_what_is_selected_in_the_page_is_copied_to_this_machine(
    browser_page: Page, browsing: Browsing
) -> None:
    await browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    browsing.selected = "a price"
    await driving(browser_page)
    await browser_page.keyboard.press("Control+c")
    await until(lambda: browsing.heard[-1] == {"type": "key_up", "key": "Control"})
    kinds = [said["type"] for said in browsing.heard]
    assert kinds == ["take", "key_down", "copy", "key_down", "key_up", "key_up"]
    read = "() => navigator.clipboard.readText()"
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while await browser_page.evaluate(read) != "a price":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_who_drives_has_an_address_bar(browser_page: Page, browsing: Browsing) -> None:
    await driving(browser_page)
    bar = browser_page.get_by_label("Address of the session's page")
    await expect(bar).to_have_value("https://example.org/")
    await bar.fill("example.net/shop")
    await bar.press("Enter")
    await expect(keys_of(browser_page)).to_be_focused()
    await expect(bar).to_have_value("https://example.net/shop")
    await browser_page.get_by_role("button", name="Back").click()
    await until(lambda: browsing.heard[-1] == {"type": "goto", "history": "back"})
    assert {"type": "goto", "url": "https://example.net/shop"} in browsing.heard
    await browser_page.get_by_role("button", name="Let go").click()
    await expect(bar).to_have_count(0)


async def test_a_finger_scrolls_taps_and_asks_for_the_keyboard(
    browser_page: Page, browsing: Browsing
) -> None:
    method = await browser_page.context.new_cdp_session(browser_page)
    await method.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    await method.send("Emulation.setEmitTouchEventsForMouse", {"enabled": False})
    await browser_page.reload()
    canvas = await driving(browser_page)
    assert await keys_of(browser_page).get_attribute("inputmode") == "none"
    await browser_page.get_by_role("button", name="Keys", exact=True).click()
    await expect(keys_of(browser_page)).to_have_attribute("inputmode", "text")
    await expect(keys_of(browser_page)).to_be_focused()
    box = await canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    async def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in places]
        await method.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    await touch("touchStart", (x, y))
    await touch("touchEnd")
    await until(lambda: any(said["type"] == "up" for said in browsing.heard))
    await touch("touchStart", (x, y))
    for moved in (20, 40, 60):
        await touch("touchMove", (x, y - moved))
    await touch("touchEnd")
    pulled = 30 * SIZE[0] / box["width"]  # of 60: the first move may be what tells it from a tap
    await until(lambda: sum(said.get("dy", 0) for said in browsing.heard) > pulled)
    assert sum(said["type"] == "down" for said in browsing.heard) == 1


async def test_a_key_gives_the_keyboard_back_and_lets_held_keys_go(
    browser_page: Page, browsing: Browsing
) -> None:
    await driving(browser_page)
    await browser_page.keyboard.down("Shift")
    await browser_page.keyboard.press("F8")
    await expect(browser_page.get_by_text("The agent has the wheel")).to_be_visible()
    await expect(browser_page.get_by_role("button", name="Take the wheel")).to_be_focused()
    assert browsing.heard[-2:] == [{"type": "key_up", "key": "Shift"}, {"type": "release"}]
    await canvas_of(browser_page).click()
    await browser_page.keyboard.press("a")
    assert browsing.heard[-1] == {"type": "release"}


async def test_another_persons_wheel_cannot_be_taken(
    browser_page: Page, browsing: Browsing
) -> None:
    browsing.another_drives = True
    browsing.open("https://example.net/")
    await browser_page.get_by_role("button", name="Watch https://example.net/").click()
    await expect(browser_page.get_by_text("Another person has the wheel")).to_be_visible()
    await browser_page.get_by_role("button", name="Take the wheel").click()
    alert = browser_page.get_by_role("alert").filter(has_text="Another person is driving")
    await expect(alert).to_be_visible()


async def test_a_lost_connection_is_made_again_and_the_wheel_taken_again(
    browser_page: Page, browsing: Browsing
) -> None:
    await driving(browser_page)
    browsing.cut = True
    alert = browser_page.get_by_role("alert").filter(has_text="was lost")
    await expect(alert).to_be_visible()
    browsing.cut = False
    await expect(browser_page.get_by_text("You have the wheel")).to_be_visible()
    await expect(alert).to_have_count(0)
    await expect(keys_of(browser_page)).to_be_focused()


@pytest.mark.parametrize("field", ["Address to open in a session", "Address of the session's page"])
async def test_a_wheel_that_comes_back_leaves_who_writes_elsewhere_alone(
    browser_page: Page, browsing: Browsing, field: str
) -> None:
    await driving(browser_page)
    written = browser_page.get_by_label(field)
    await written.fill("half an addr")
    browsing.cut = True
    await expect(browser_page.get_by_role("alert").filter(has_text="was lost")).to_be_visible()
    browsing.cut = False
    await expect(browser_page.get_by_text("You have the wheel")).to_be_visible()
    await expect(written).to_be_focused()
    await expect(written).to_have_value("half an addr")


async def test_a_session_that_ends_elsewhere_says_so(
    browser_page: Page, browsing: Browsing
) -> None:
    await watching(browser_page)
    browsing.sessions.clear()
    alert = browser_page.get_by_role("alert").filter(has_text="has ended: it was closed.")
    await expect(alert).to_be_visible()
    await expect(browser_page.get_by_text("No session is open.")).to_be_visible()
    await browser_page.get_by_role("button", name="Stop watching").click()
    await expect(canvas_of(browser_page)).to_have_count(0)


async def test_closing_a_session_ends_its_view(browser_page: Page, browsing: Browsing) -> None:
    await watching(browser_page)
    await browser_page.get_by_role("button", name="Close session https://example.org/").click()
    await expect(canvas_of(browser_page)).to_have_count(0)
    await expect(browser_page.get_by_text("No session is open.")).to_be_visible()
    assert browsing.sessions == {}


async def test_an_address_that_may_not_be_visited_leaves_no_session(
    browser_page: Page, browsing: Browsing
) -> None:
    await browser_page.get_by_label("Address to open in a session").fill("http://192.168.1.1/")
    await browser_page.keyboard.press("Enter")
    alert = browser_page.get_by_role("alert").filter(has_text="192.168.1.1 is a private address.")
    await expect(alert).to_be_visible()
    assert browsing.sessions == {}


@pytest.mark.parametrize("width", [360, 1000, 1440])
async def test_the_live_view_fits_the_window(
    browser_page: Page, browsing: Browsing, width: int
) -> None:
    browsing.open("https://example.net/" + "a-long-way/" * 20)
    await browser_page.set_viewport_size({"width": width, "height": 800})
    canvas = await watching(browser_page)
    box = await canvas.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert abs(box["width"] / box["height"] - SIZE[0] / SIZE[1]) < 0.02
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await browser_page.evaluate(over) <= 0
