"""A person in a real browser: the web interface and the desktop of the real platform."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.platform import Platform

QUESTION = "In one sentence: what does a cluster of computers do?"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # The test's own browser visits loopback only; as root Chromium needs its sandbox off.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light")
    yield context.new_page()
    context.close()


def test_a_person_signs_in_sees_every_room_and_chats(platform: Platform, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{platform.port('frontend')}/")
    page.get_by_label("API key").fill(platform.key)
    page.get_by_role("button", name="Sign in").click()
    pages = page.get_by_role("navigation")
    pages.get_by_role("link", name="Cluster").click()
    expect(page.get_by_role("article")).to_have_count(7)
    expect(page.get_by_role("status")).to_have_text("All 7 rooms ok", timeout=15_000)
    pages.get_by_role("link", name="Chat").click()
    page.get_by_label("Message").fill(QUESTION)
    page.get_by_label("Message").press("Enter")
    log = page.get_by_role("log")
    expect(log).to_contain_text("tok/s", timeout=120_000)
    expect(log).to_contain_text("llama.cpp")
    expect(page.get_by_role("button", name="Send")).to_be_visible(timeout=120_000)
    if picture := os.environ.get("AUTOBOT_TEST_PICTURE"):
        page.screenshot(path=picture)


def test_a_wrong_key_is_refused_in_words(platform: Platform, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{platform.port('frontend')}/")
    page.get_by_label("API key").fill("ab_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def test_the_desktop_shows_behind_its_password_and_takes_clicks(
    platform: Platform, page: Page
) -> None:
    password = (platform.home / "secrets" / "desktop_password").read_text().strip()
    page.goto(f"http://127.0.0.1:{platform.port('desktop')}/vnc.html?autoconnect=1")
    page.locator("#noVNC_password_input").fill(password)
    page.locator("#noVNC_password_input").press("Enter")
    canvas = page.locator("#noVNC_container canvas")
    expect(canvas).to_be_visible(timeout=15_000)
    page.wait_for_timeout(1500)
    before = canvas.screenshot()
    canvas.click(button="right", position={"x": 700, "y": 500})
    page.wait_for_timeout(1500)
    assert canvas.screenshot() != before, "a right click opens the window manager's menu"


def test_the_desktop_refuses_a_wrong_password(platform: Platform, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{platform.port('desktop')}/vnc.html?autoconnect=1")
    page.locator("#noVNC_password_input").fill("wrong")
    page.locator("#noVNC_password_input").press("Enter")
    expect(page.locator("#noVNC_status")).to_contain_text("rejected", timeout=15_000)
    expect(page.locator("#noVNC_container canvas")).to_have_count(0)
