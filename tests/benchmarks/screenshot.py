"""A screenshot through the platform against a bare Playwright script with the same Chromium."""

import time

from playwright.sync_api import Browser, sync_playwright

from tests.benchmarks.report import Figure, median
from tests.platform import Platform

ROUNDS = 9
HTML = "<body style='font:20px sans-serif'>" + "<p>The quick brown fox jumps.</p>" * 20 + "</body>"


def bare(browser: Browser) -> float:
    started = time.perf_counter()
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_content(HTML)
    page.screenshot()
    context.close()
    return (time.perf_counter() - started) * 1000


def measure(platform: Platform) -> list[Figure]:
    floors: list[float] = []
    found: list[float] = []
    with sync_playwright() as playwright, platform.client() as client:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        bare(browser)
        for _ in range(ROUNDS):
            floors.append(bare(browser))
            started = time.perf_counter()
            client.post("/api/browser/screenshot", json={"html": HTML}).raise_for_status()
            found.append((time.perf_counter() - started) * 1000)
        browser.close()
    note = "floor: warm browser, new context and page each time"
    return [Figure("screenshot", median(found), median(floors), "ms", "", note)]
