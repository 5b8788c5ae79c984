"""What a session and its actions cost beside bare Playwright in the same run: a drill."""

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deployments.browser.actions import (
    Action,
    Click,
    Content,
    Evaluate,
    Screenshot,
    Snapshot,
    Type,
)
from deployments.browser.chromium.driver import NO_BYPASS
from deployments.browser.chromium.isolation.memory import Meter, descendants, proportional
from deployments.browser.chromium.service import ChromiumBrowser
from deployments.browser.chromium.session import ChromiumSession
from deployments.browser.pages.schemas import NewSession
from deployments.browser.sessions.service import Sessions
from tests.contract.browser.conftest import Rig

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    pytest.mark.drill,
]

PAGE = "<title>t</title><input name=n><input type=checkbox id=c><p>text<button>Go</button>"
MAX_RATIO, MAX_EXTRA_MS = 1.2, 3.0


async def milliseconds(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return 1000 * (time.perf_counter() - began)


async def test_a_session_opens_as_fast_as_a_bare_context_and_page(chromium: Rig) -> None:
    assert isinstance(chromium.browser, ChromiumBrowser)
    bare_chromium = (await chromium.browser.restarter.get())._browser
    sessions = Sessions(chromium.browser, "here", Meter(1 << 40, lambda: 0), 8)

    async def bare() -> None:
        proxy: Any = {"server": "http://127.0.0.1:9", "bypass": NO_BYPASS}
        context = await bare_chromium.new_context(proxy=proxy)
        contexts.append(context)
        await context.new_page()

    async def ours() -> None:
        records.append(await sessions.open("ann", NewSession()))

    contexts: list[Any] = []
    records: list[Any] = []
    theirs, times = [], []
    for _ in range(16):
        theirs.append(await milliseconds(bare))
        await contexts.pop().close()
        times.append(await milliseconds(ours))
        await sessions.end("ann", records.pop().id)
    ratio = statistics.median(times[2:]) / statistics.median(theirs[2:])
    print(f"open: {statistics.median(times[2:]):.1f} ms, {ratio:.2f} x bare")
    assert ratio <= MAX_RATIO


async def test_an_action_costs_little_more_than_bare(chromium: Rig) -> None:
    sessions = Sessions(chromium.browser, "here", Meter(1 << 40, lambda: 0), 8)
    record = await sessions.open("ann", NewSession())
    assert isinstance(record.session, ChromiumSession)
    tab = record.session.tab(None)
    await tab.set_content(PAGE)
    pairs: list[tuple[Callable[[], Awaitable[Any]], Action]] = [
        (tab.content, Content()),
        (tab.locator("#c").click, Click(selector="#c")),
        (lambda: tab.locator("[name=n]").fill("x"), Type(selector="[name=n]", text="x")),
        (lambda: tab.evaluate("1 + 1"), Evaluate(expression="1 + 1")),
        (tab.screenshot, Screenshot()),
        (lambda: tab.aria_snapshot(mode="ai"), Snapshot()),
    ]
    extra: dict[str, float] = {}
    for bare, action in pairs:
        differences = []
        for _ in range(40):
            theirs = await milliseconds(bare)

            async def ours(action: Action = action) -> None:
                await sessions.act("ann", record.id, action)

            differences.append(await milliseconds(ours) - theirs)
        extra[action.name] = round(statistics.median(differences), 2)
    await sessions.end("ann", record.id)
    print(f"milliseconds above bare: {extra}")
    assert max(extra.values()) <= MAX_EXTRA_MS


async def test_twenty_sessions_with_a_page_fit_in_half_of_four_gibibytes(chromium: Rig) -> None:
    sessions = Sessions(chromium.browser, "here", Meter(2 << 30), 64)
    url = chromium.site.put("/real", PAGE * 50)
    opened = []
    for _ in range(20):
        record = await sessions.open("ann", NewSession(queue_s=0))
        assert isinstance(record.session, ChromiumSession)
        await record.session.tab(None).goto(url)
        opened.append(record)
        await sessions._meter.measure()
    used = proportional(descendants())
    print(f"20 sessions: {used >> 20} MiB of proportional memory")
    for record in opened:
        await sessions.end("ann", record.id)
    assert used <= 2 << 30
