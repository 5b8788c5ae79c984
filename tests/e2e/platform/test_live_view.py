"""A person in a real browser watches a session of the real platform, and takes its wheel."""

import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.platform import Platform

WIDTH, HEIGHT = 1280, 720
BUTTON = (640, 330)
"""Middle of the button in the session's page, in its CSS pixels."""
FIELD = (640, 450)
COLOUR = (12, 122, 73)
CONTENT = """() => {
    document.title = "A form";
    document.body.innerHTML = `
        <style>
            body { margin: 0; font: 22px sans-serif; background: #eef1f6; color: #1b2233 }
            h1, p { position: absolute; left: 240px; width: 800px; margin: 0; text-align: center }
            h1 { top: 130px }
            p { top: 205px }
            button, input { position: absolute; left: 500px; width: 280px; border: 0;
                font: inherit; border-radius: 10px; box-sizing: border-box }
            button { top: 290px; height: 80px; background: #0c7a49; color: white }
            input { top: 420px; height: 60px; padding: 0 16px; background: white }
        </style>
        <h1>Confirm the order</h1>
        <p>Two kettles, 84 euro. The agent stops here: a person has to agree.</p>
        <button>Agree</button><input aria-label="Name" placeholder="Your name">`;
    window.clicks = [];
    document.querySelector("button").onclick = event => {
        window.clicks.push([event.clientX, event.clientY]);
        event.target.textContent = "Agreed";
    };
}"""
STATE = "() => [window.clicks, document.querySelector('input').value]"
PIXEL = """(canvas, [x, y]) => Array.from(canvas.getContext("2d").getImageData(
    Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).data.slice(0, 3))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # The test's own browser visits loopback only; as root Chromium needs its sandbox off.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)


@pytest.fixture
def page(platform: Platform, browser: Browser) -> Iterator[Page]:
    """The signed-in page; it may log no error, such as a breach of its own policy."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme="light")
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Policy" in line.text else None)
    page.goto(f"http://127.0.0.1:{platform.port('frontend')}/")
    page.get_by_label("API key").fill(platform.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation").get_by_role("link", name="Browser").click()
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def session(platform: Platform) -> Iterator[str]:
    """Path of a session on a page with a button and a field."""
    with platform.client() as client:
        opened = client.post("/api/browser/sessions", json={"width": WIDTH, "height": HEIGHT})
        assert opened.status_code == 201, opened.text
        path = f"/api/browser/sessions/{opened.json()['id']}"
        act(client, path, "evaluate", expression=CONTENT)
        yield path
        client.delete(path)


def act(client: httpx.Client, path: str, action: str, **body: Any) -> httpx.Response:
    answer = client.post(f"{path}/{action}", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def at(canvas: Locator, place: tuple[int, int]) -> Any:
    """Where on the canvas a place of the page is shown."""
    box = canvas.bounding_box()
    assert box is not None
    return {"x": place[0] * box["width"] / WIDTH, "y": place[1] * box["height"] / HEIGHT}


def shows(canvas: Locator, place: tuple[int, int], colour: tuple[int, ...]) -> None:
    """Wait until the picture has ``colour``, near enough for a JPEG, at a place of the page."""
    deadline = time.monotonic() + 20
    while True:
        seen = canvas.evaluate(PIXEL, [place[0] / WIDTH, place[1] / HEIGHT])
        if all(abs(a - b) < 12 for a, b in zip(seen, colour, strict=True)):
            return
        assert time.monotonic() < deadline, f"{seen} at {place} instead of {colour}"
        time.sleep(0.1)


def test_a_person_watches_a_session_takes_its_wheel_and_lets_go(
    platform: Platform, page: Page, session: str
) -> None:
    page.get_by_role("button", name="Watch about:blank").click()
    canvas = page.get_by_label("Live picture of the session's page")
    expect(canvas).to_be_visible(timeout=20_000)
    expect(page.get_by_text("The agent has the wheel")).to_be_visible()
    edge = BUTTON[0] - 120, BUTTON[1] - 25  # of the button, where none of its words is
    shows(canvas, edge, COLOUR)
    shows(canvas, (10, 10), (238, 241, 246))

    page.get_by_role("button", name="Take the wheel").click()
    expect(page.get_by_text("You have the wheel")).to_be_visible()
    canvas.click(position=at(canvas, BUTTON))
    canvas.click(position=at(canvas, FIELD))
    page.keyboard.type("Ada L.")
    with platform.client() as client:
        paused = client.post(f"{session}/content", json={"timeout_s": 0.5})
        assert paused.status_code == 423, paused.text
        assert client.get(session).json()["wheel"] == "person"
        shows(canvas, (FIELD[0] + 120, FIELD[1]), (255, 255, 255))
        if picture := os.environ.get("AUTOBOT_TEST_LIVE_PICTURE"):
            expect(page.get_by_text("a person drives")).to_be_visible()
            page.locator("section", has=canvas).screenshot(path=picture)

        page.get_by_role("button", name="Let go").click()
        expect(page.get_by_text("The agent has the wheel")).to_be_visible()
        clicks, typed = act(client, session, "evaluate", expression=STATE).json()["value"]
    assert typed == "Ada L."
    assert len(clicks) == 1
    assert all(abs(a - b) <= 2 for a, b in zip(clicks[0], BUTTON, strict=True)), clicks


def test_the_view_of_a_session_that_its_agent_closes_says_so(
    platform: Platform, page: Page, session: str
) -> None:
    page.get_by_role("button", name="Watch about:blank").click()
    expect(page.get_by_text("The agent has the wheel")).to_be_visible(timeout=20_000)
    with platform.client() as client:
        assert client.delete(session).status_code == 204
    ended = page.get_by_role("alert").filter(has_text="This session has ended: it was closed.")
    expect(ended).to_be_visible(timeout=10_000)
    page.get_by_role("button", name="Reconnect").click()
    expect(ended).to_be_visible(timeout=10_000)


def test_a_person_cannot_open_a_session_on_a_private_address(
    platform: Platform, page: Page
) -> None:
    page.get_by_label("Address to open in a session").fill(platform.url)
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="127.0.0.1")).to_be_visible(timeout=30_000)
    with platform.client() as client:
        assert client.get("/api/browser/sessions").json() == {"sessions": [], "unreachable": []}
