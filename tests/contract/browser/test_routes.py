"""Room browser over HTTP: keys, bounds, error shapes, headers; and once with Chromium behind it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
import pytest_asyncio

from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.web.app import create_app
from deployments.browser.actions import Action, Pdf, Screenshot
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Domains, Policy
from deployments.browser.engine import Browser, Page, Rendered
from deployments.browser.fake import FakeBrowser
from tests.contract.browser.conftest import Rig, room_of
from tests.contract.browser.jobs import Job

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

KEY, RECORD = make_key(NewKey(name="browser", scopes=("browser",)))
OTHER_KEY, OTHER_RECORD = make_key(NewKey(name="other", scopes=("llm",)))
SHOT, PDF = "/api/browser/screenshot", "/api/browser/pdf"
RED = "<body style='background:#ff0000'>"


async def known_keys() -> Sequence[KeyRecord]:
    return [RECORD, OTHER_RECORD]


async def client_of(browser: Browser, key: str | None = KEY) -> httpx.AsyncClient:
    keys = KeyRing(known_keys)
    await keys.refresh()
    app = create_app("browser", [room_of(browser).router()], keys)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://room", headers=headers)


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with await client_of(FakeBrowser(Connector(Policy()), running=1, waiting=1)) as client:
        yield client


def expect(answer: httpx.Response, status: int, slug: str) -> str:
    """Assert a problem of that kind; return its detail."""
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    body = answer.json()
    assert body["type"].endswith(slug)
    assert body["status"] == status
    return body["detail"]


async def test_a_screenshot_says_what_made_it(client: httpx.AsyncClient) -> None:
    answer = await client.post(SHOT, json={"html": RED, "width": 64, "height": 48})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert answer.headers["x-autobot-room"] == "browser"
    assert answer.headers["x-autobot-engine"] == "fake/1"
    assert answer.headers["x-autobot-device"] == "none"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_pdf_comes_back_as_pdf(client: httpx.AsyncClient) -> None:
    answer = await client.post(PDF, json={"html": RED})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF")


async def test_no_key_and_a_key_of_another_scope_are_refused() -> None:
    browser = FakeBrowser(Connector(Policy()))
    for path in (SHOT, PDF):
        async with await client_of(browser, None) as nobody:
            expect(await nobody.post(path, json={"html": RED}), 401, "unauthenticated")
        async with await client_of(browser, OTHER_KEY) as other:
            expect(await other.post(path, json={"html": RED}), 403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "http://example.com", "html": "both"},
        {"url": ""},
        {"html": RED, "width": 15},
        {"html": RED, "width": 3841},
        {"html": RED, "height": 2161},
        {"html": RED, "timeout_s": 0.1},
        {"html": RED, "timeout_s": 121},
        {"html": RED, "format": "gif"},
        {"html": RED, "wait_until": "never"},
        {"html": RED, "fullpage": True},
        {"url": "http://"},
        {"url": "http://1.2.3.4.5/"},
    ],
)
async def test_what_is_out_of_bounds_is_invalid(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert expect(await client.post(SHOT, json=body), 422, "invalid")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://127.0.0.1:6379/", "127.0.0.1 is a loopback address"),
        ("http://172.16.168.23:6379/", "172.16.168.23 is a cluster address"),
        ("file:///etc/passwd", "`file:`"),
    ],
)
async def test_a_blocked_address_is_a_403_that_names_it(
    client: httpx.AsyncClient, url: str, named: str
) -> None:
    for path in (SHOT, PDF):
        answer = await client.post(path, json={"url": url})
        assert named in expect(answer, 403, "blocked-address")


async def test_a_deadline_is_a_504_and_a_full_line_a_429_with_retry_after(
    client: httpx.AsyncClient,
) -> None:
    body = {"html": "<script>while(true)</script>", "timeout_s": 0.5}
    answers = await asyncio.gather(*(client.post(SHOT, json=body) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [504, 504, 429]
    expect(answers[0], 504, "timeout")
    expect(answers[2], 429, "busy")
    assert int(answers[2].headers["retry-after"]) >= 1


async def test_a_crash_is_a_503_with_retry_after() -> None:
    browser = FakeBrowser(Connector(Policy()))
    async with await client_of(browser) as client:
        body = {"html": "<script>while(true)</script>", "timeout_s": 20}
        running = asyncio.ensure_future(client.post(SHOT, json=body))
        await asyncio.sleep(0.1)
        await browser.crash()
        answer = await running
    expect(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


class Recording(FakeBrowser):
    """Keeps the jobs it is given, and counts its lives."""

    def __init__(self) -> None:
        super().__init__(Connector(Policy()))
        self.jobs: list[Job] = []
        self.events: list[str] = []

    def start(self) -> None:
        self.events.append("start")

    async def close(self) -> None:
        self.events.append("close")

    async def once(self, page: Page, action: Action) -> Rendered:
        self.jobs.append((page, action))
        return await super().once(page, action)


async def test_every_option_reaches_the_browser() -> None:
    browser = Recording()
    page = {
        "html": "x",
        "width": 100,
        "height": 90,
        "wait_until": "networkidle",
        "timeout_s": 7,
    }
    async with await client_of(browser) as client:
        await client.post(SHOT, json={**page, "full_page": True, "format": "jpeg"})
        await client.post(PDF, json={**page, "paper": "A3", "landscape": True})
    (first, shot), (second, pdf) = browser.jobs
    assert first == second
    mine = {"key_domains": Domains(whose="API key"), "owner": RECORD.id}
    assert vars(first) == {"url": None, **mine, **page}
    assert isinstance(shot, Screenshot)
    assert (shot.full_page, shot.format, shot.timeout_s) == (True, "jpeg", 7)
    assert isinstance(pdf, Pdf)
    assert (pdf.paper, pdf.landscape) == ("A3", True)


async def test_the_browser_lives_as_long_as_the_application() -> None:
    browser = Recording()
    app = create_app("browser", [room_of(browser).router()], KeyRing(known_keys))
    async with app.router.lifespan_context(app):
        assert browser.events == ["start"]
    assert browser.events == ["start", "close"]


async def test_chromium_answers_over_http(chromium: Rig) -> None:
    async with await client_of(chromium.browser) as client:
        url = chromium.site.put("/page", RED, status=404)
        answer = await client.post(SHOT, json={"url": url})
        assert answer.status_code == 200
        assert answer.headers["x-autobot-engine"].startswith("chromium/")
        assert answer.headers["x-autobot-device"] == "CPU"
        assert answer.headers["x-autobot-page-status"] == "404"
        away = chromium.site.redirect("/away", f"http://127.0.0.1:{chromium.trap.port}/")
        blocked = await client.post(SHOT, json={"url": away})
        assert str(chromium.trap.port) in expect(blocked, 403, "blocked-address")
