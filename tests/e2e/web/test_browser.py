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
    await expect(canvas).to_be_focused()
    return canvas


async def test_a_session_is_opened_and_its_pictures_are_shown_and_acknowledged(
    signed_in: Page, browsing: Browsing
) -> None:
    canvas = await watching(signed_in)
    await until(lambda: browsing.acks == PICTURES)
    shown = await canvas.evaluate(MIDDLE)
    assert all(abs(a - b) < 8 for a, b in zip(shown, COLOUR, strict=True)), shown
    sessions = signed_in.get_by_role("list", name="Open sessions").get_by_role("listitem")
    await expect(sessions).to_have_count(1)
    await expect(sessions).to_contain_text("https://example.org/")


async def test_mouse_and_keys_reach_the_page_in_its_own_pixels(
    signed_in: Page, browsing: Browsing
) -> None:
    canvas = await driving(signed_in)
    box = await canvas.bounding_box()
    assert box is not None
    scale = box["width"] / SIZE[0]
    await canvas.dblclick(position={"x": 320 * scale, "y": 100 * scale})
    await signed_in.mouse.wheel(0, 90)
    await signed_in.keyboard.press("a")
    # Playwright has no key for it: its `type` would insert it into some text field of the page.
    await canvas.evaluate(PRESS, "é")
    await signed_in.keyboard.press("Enter")
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


async def test_what_is_pasted_arrives_as_text(signed_in: Page, browsing: Browsing) -> None:
    canvas = await driving(signed_in)
    await canvas.evaluate(
        """canvas => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", "two\\nlines");
            canvas.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true}));
        }"""
    )
    await until(lambda: {"type": "text", "text": "two\nlines"} in browsing.heard)


async def test_a_key_gives_the_keyboard_back_and_lets_held_keys_go(
    signed_in: Page, browsing: Browsing
) -> None:
    await driving(signed_in)
    await signed_in.keyboard.down("Shift")
    await signed_in.keyboard.press("F8")
    await expect(signed_in.get_by_text("The agent has the wheel")).to_be_visible()
    await expect(signed_in.get_by_role("button", name="Take the wheel")).to_be_focused()
    assert browsing.heard[-2:] == [{"type": "key_up", "key": "Shift"}, {"type": "release"}]
    await canvas_of(signed_in).click()
    await signed_in.keyboard.press("a")
    assert browsing.heard[-1] == {"type": "release"}


async def test_another_persons_wheel_cannot_be_taken(signed_in: Page, browsing: Browsing) -> None:
    browsing.another_drives = True
    browsing.open("https://example.net/")
    await signed_in.get_by_role("button", name="Watch https://example.net/").click()
    await expect(signed_in.get_by_text("Another person has the wheel")).to_be_visible()
    await signed_in.get_by_role("button", name="Take the wheel").click()
    alert = signed_in.get_by_role("alert").filter(has_text="Another person is driving")
    await expect(alert).to_be_visible()


async def test_a_lost_connection_is_told_and_made_again_when_asked(
    signed_in: Page, browsing: Browsing
) -> None:
    await watching(signed_in)
    browsing.cut = True
    alert = signed_in.get_by_role("alert").filter(has_text="was lost")
    await expect(alert).to_be_visible()
    browsing.cut = False
    await signed_in.get_by_role("button", name="Reconnect").click()
    await expect(signed_in.get_by_text("The agent has the wheel")).to_be_visible()
    await expect(alert).to_have_count(0)


async def test_a_session_that_ends_elsewhere_says_so(signed_in: Page, browsing: Browsing) -> None:
    await watching(signed_in)
    browsing.sessions.clear()
    alert = signed_in.get_by_role("alert").filter(has_text="has ended: it was closed.")
    await expect(alert).to_be_visible()
    await expect(signed_in.get_by_text("No session is open.")).to_be_visible()
    await signed_in.get_by_role("button", name="Stop watching").click()
    await expect(canvas_of(signed_in)).to_have_count(0)


async def test_closing_a_session_ends_its_view(signed_in: Page, browsing: Browsing) -> None:
    await watching(signed_in)
    await signed_in.get_by_role("button", name="Close session https://example.org/").click()
    await expect(canvas_of(signed_in)).to_have_count(0)
    await expect(signed_in.get_by_text("No session is open.")).to_be_visible()
    assert browsing.sessions == {}


async def test_an_address_that_may_not_be_visited_leaves_no_session(
    signed_in: Page, browsing: Browsing
) -> None:
    await signed_in.get_by_label("Address to open in a session").fill("http://192.168.1.1/")
    await signed_in.keyboard.press("Enter")
    alert = signed_in.get_by_role("alert").filter(has_text="192.168.1.1 is a private address.")
    await expect(alert).to_be_visible()
    assert browsing.sessions == {}


@pytest.mark.parametrize("width", [360, 1000, 1440])
async def test_the_live_view_fits_the_window(
    signed_in: Page, browsing: Browsing, width: int
) -> None:
    browsing.open("https://example.net/" + "a-long-way/" * 20)
    await signed_in.set_viewport_size({"width": width, "height": 800})
    canvas = await watching(signed_in)
    box = await canvas.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert abs(box["width"] / box["height"] - SIZE[0] / SIZE[1]) < 0.02
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await signed_in.evaluate(over) <= 0
