"""Ways a page tries to reach an address it may not. None may put a packet on the trap.

Each way is also tried with the trap's address allowed: one that leads nowhere proves nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio

from autobot.errors import BlockedAddress, Timeout
from deployments.browser.actions import Goto
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Address, Policy, Target
from deployments.browser.engine import Page, SessionSpec
from deployments.browser.errors import PageFailed
from tests.contract.browser.conftest import Rig, real_browser
from tests.contract.browser.jobs import Job, shot_of
from tests.contract.browser.site import Site, Trap, set_trap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

SERVICE_WORKER = """<script>
navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready)
  .then(r => r.active.postMessage('TRAP'));
</script>"""
WORKER_JS = "self.onmessage = event => fetch('http://' + event.data + '/x').catch(() => {});"

TCP_WAYS = {
    "image": "<img src=http://TRAP/x>",
    "frame": "<iframe src=http://TRAP/x></iframe>",
    "script": "<script src=http://TRAP/x></script>",
    "stylesheet": "<link rel=stylesheet href=http://TRAP/x>",
    "css url": "<body style='background:url(http://TRAP/x)'>",
    "font": "<style>@font-face{font-family:f;src:url(http://TRAP/x)}body{font-family:f}</style>a",
    "object": "<object data=http://TRAP/x></object>",
    "video": "<video autoplay muted src=http://TRAP/x></video>",
    "https image": "<img src=https://TRAP/x>",
    "preload": "<link rel=preload as=image href=http://TRAP/x>",
    "preconnect": "<link rel=preconnect href=http://TRAP><img src=http://TRAP/y>",
    "fetch": "<script>fetch('http://TRAP/x', {mode: 'no-cors'}).catch(() => {})</script>",
    "beacon": "<script>navigator.sendBeacon('http://TRAP/x', 'y')</script>",
    "event source": "<script>new EventSource('http://TRAP/x')</script>",
    "websocket": "<script>new WebSocket('ws://TRAP/x')</script>",
    "secure websocket": "<script>new WebSocket('wss://TRAP/x')</script>",
    "redirected image": "<img src=http://SITE/to-trap-PORT>",
    "worker": (
        "<script>new Worker(URL.createObjectURL(new Blob(["
        "\"fetch('http://TRAP/x', {mode: 'no-cors'}).catch(() => {})\"])))</script>"
    ),
    "service worker": SERVICE_WORKER,
    "form": "<form id=f method=post action=http://TRAP/x></form><script>f.submit()</script>",
    "script navigation": "<script>location = 'http://TRAP/x'</script>",
    "meta refresh": "<meta http-equiv=refresh content='0;url=http://TRAP/x'>",
    "popup": "<script>window.open('http://TRAP/x')</script>",
    "decimal image": "<img src=http://2130706433:PORT/x>",
    "octal image": "<img src=http://0177.1:PORT/x>",
    "mapped image": "<img src='http://[::ffff:127.0.0.1]:PORT/x'>",
    "localhost image": "<img src=http://localhost:PORT/x>",
    "hexadecimal image": "<img src=http://0x7f000001:PORT/x>",
    "short image": "<img src=http://127.1:PORT/x>",
    "percent image": "<img src=http://%31%32%37.0.0.1:PORT/x>",
    "full-width image": "<img src='http://&#xff11;&#xff12;&#xff17;.0.0.1:PORT/x'>",
    "trailing dot image": "<img src=http://127.0.0.1.:PORT/x>",
    "user info": "<script>location = 'http://example.com@127.0.0.1:PORT/x'</script>",
    "zero image": "<img src=http://0.0.0.0:PORT/x>",
    "zero short image": "<img src=http://0:PORT/x>",
    "mapped hexadecimal image": "<img src='http://[::ffff:7f00:1]:PORT/x'>",
    "scheme-relative image": "<img src=//TRAP/x>",
    "base": "<base href=http://TRAP/><img src=x>",
    "source set": "<img srcset='http://TRAP/x 1x'>",
    "inner document": "<iframe srcdoc='<img src=http://TRAP/x>'></iframe>",
    "svg": "<svg><image href=http://TRAP/x /></svg>",
    "embed": "<embed src=http://TRAP/x>",
    "audio": "<audio autoplay muted src=http://TRAP/x></audio>",
    "poster": "<video poster=http://TRAP/x></video>",
    "image button": "<input type=image src=http://TRAP/x>",
    "module": "<script type=module>import('http://TRAP/x').catch(() => {})</script>",
    "xhr": "<script>var r = new XMLHttpRequest(); r.open('GET', 'http://TRAP/'); r.send()</script>",
    "css import": "<style>@import 'http://TRAP/x';</style>",
    "two redirects": "<img src=http://SITE/first-PORT>",
    "redirected form": (
        "<form id=f method=post action=http://SITE/moved-PORT></form><script>f.submit()</script>"
    ),
    "worker's import": (
        "<script>new Worker(URL.createObjectURL(new Blob([\"importScripts('http://TRAP/x')\"])))"
        "</script>"
    ),
    "worker's socket": (
        "<script>new Worker(URL.createObjectURL(new Blob([\"new WebSocket('ws://TRAP/x')\"])))"
        "</script>"
    ),
    "event source of a worker": (
        "<script>new Worker(URL.createObjectURL(new Blob([\"new EventSource('http://TRAP/x')\"])))"
        "</script>"
    ),
}
RTC = """<script>
const peer = new RTCPeerConnection({iceServers: [SERVER]});
peer.createDataChannel('d');
peer.createOffer().then(offer => peer.setLocalDescription(offer));
</script>"""
OTHER_WAYS = {
    "stun": RTC.replace("SERVER", "{urls: 'stun:TRAP'}"),
    "turn over udp": RTC.replace("SERVER", "{urls: 'turn:TRAP', username: 'u', credential: 'c'}"),
    "turn over tcp": RTC.replace(
        "SERVER", "{urls: 'turn:TRAP?transport=tcp', username: 'u', credential: 'c'}"
    ),
    "webtransport": "<script>new WebTransport('https://TRAP/x').ready.catch(() => {})</script>",
    "dns prefetch": "<link rel=dns-prefetch href=http://TRAP>",
    "file image": "<img src=file:///etc/passwd>",
    "ping": "<a id=a ping=http://TRAP/x href='#b'>a</a><script>a.click()</script>",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def permissive(
    tmp_path_factory: pytest.TempPathFactory, site: Site, browser_user: None
) -> AsyncIterator[Rig]:
    """A browser that may visit its trap: what shows that the ways lead somewhere."""
    spelled = ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0")
    async with set_trap() as trap:
        allow = ",".join([f"127.0.0.1:{site.port}", *(f"{host}:{trap.port}" for host in spelled)])
        browser = real_browser(tmp_path_factory.mktemp("permissive"), allow)
        browser.start()
        yield Rig(browser, browser.close, site, trap)
        await browser.close()


def visit(site: Site, trap: Trap, html: str) -> Job:
    """Put a page on the site that tries ``html``, and look at it for a while."""
    trap_at, site_at = f"127.0.0.1:{trap.port}", f"127.0.0.1:{site.port}"
    html = html.replace("TRAP", trap_at).replace("SITE", site_at).replace("PORT", str(trap.port))
    site.put("/worker.js", WORKER_JS, headers="Content-Type: text/javascript\r\n")
    site.redirect(f"/to-trap-{trap.port}", f"http://{trap_at}/x")
    site.redirect(f"/first-{trap.port}", f"/to-trap-{trap.port}")
    moved = f"Location: http://{trap_at}/x\r\n"
    site.put(f"/moved-{trap.port}", "", status=307, headers=moved)
    url = site.put(f"/try-{trap.port}", f"<title>try</title>{html}<p>tried</p>")
    return shot_of(Page(url=url, wait_until="networkidle", timeout_s=15))


async def attempt(rig: Rig, html: str) -> tuple[int, int]:
    """Try ``html`` in a page; return the TCP connections and datagrams that reached the trap."""
    before = rig.trap.tcp, rig.trap.udp
    with contextlib.suppress(BlockedAddress, PageFailed):
        await rig.browser.once(*visit(rig.site, rig.trap, html))
    return rig.trap.tcp - before[0], rig.trap.udp - before[1]


@pytest.mark.parametrize("way", TCP_WAYS)
async def test_no_way_over_tcp_reaches_a_blocked_address(
    chromium: Rig, permissive: Rig, way: str
) -> None:
    html = TCP_WAYS[way]
    held, let = await asyncio.gather(attempt(chromium, html), attempt(permissive, html))
    assert held == (0, 0), "a packet got through"
    assert let[0] > 0, "this way leads nowhere, so it proves nothing"


@pytest.mark.parametrize("way", OTHER_WAYS)
async def test_no_other_way_reaches_it_even_when_allowed(
    chromium: Rig, permissive: Rig, way: str
) -> None:
    html = OTHER_WAYS[way]
    held, let = await asyncio.gather(attempt(chromium, html), attempt(permissive, html))
    assert held == (0, 0)
    assert let[1] == 0, "UDP went around the proxy"


async def test_every_way_is_held_inside_a_session_and_told(chromium: Rig) -> None:
    before = chromium.trap.tcp, chromium.trap.udp
    session = await chromium.browser.open(SessionSpec())
    ways = {**TCP_WAYS, **OTHER_WAYS}
    try:
        for html in ways.values():
            page, _ = visit(chromium.site, chromium.trap, html)
            with contextlib.suppress(BlockedAddress, PageFailed, Timeout):
                await session.act(Goto(url=page.url, wait_until="load", timeout_s=5))
        await asyncio.sleep(1)
        said = session.state().blocked
    finally:
        await session.close()
    assert (chromium.trap.tcp, chromium.trap.udp) == before
    assert f"127.0.0.1:{chromium.trap.port} is blocked: 127.0.0.1 is a loopback address." in said
    assert len(ways) >= 60


async def test_a_redirect_to_a_blocked_address_is_named(chromium: Rig) -> None:
    before = chromium.trap.tcp
    for scheme in ("http", "https"):
        where = f"{scheme}://127.0.0.1:{chromium.trap.port}/"
        url = chromium.site.redirect("/away", where)
        with pytest.raises(BlockedAddress, match=f"127.0.0.1:{chromium.trap.port} is blocked"):
            await chromium.browser.once(*shot_of(Page(url=url)))
    assert chromium.trap.tcp == before


@pytest.mark.parametrize("way", ["script navigation", "meta refresh", "form"])
async def test_a_page_that_moves_to_a_blocked_address_is_refused(chromium: Rig, way: str) -> None:
    job = visit(chromium.site, chromium.trap, TCP_WAYS[way])
    with pytest.raises(BlockedAddress, match="is blocked"):
        await chromium.browser.once(*job)


async def test_a_page_given_as_html_is_held_to_the_same_rules(chromium: Rig) -> None:
    before = chromium.trap.tcp
    html = TCP_WAYS["image"].replace("TRAP", f"127.0.0.1:{chromium.trap.port}")
    await chromium.browser.once(*shot_of(Page(html=html, wait_until="networkidle")))
    assert chromium.trap.tcp == before
    served = chromium.site.put("/pixel", "x")
    seen = len(chromium.site.requests)
    html = f"<img src={served}>"
    await chromium.browser.once(*shot_of(Page(html=html, wait_until="networkidle")))
    assert any("GET /pixel " in head for head in chromium.site.requests[seen:])


async def test_a_name_that_changes_its_address_is_blocked(
    tmp_path: Path, site: Site, trap: Trap, browser_user: None
) -> None:
    answers: list[Address] = []

    async def rebinding(host: str, port: int) -> list[Address]:
        """Public when the URL is admitted, loopback when the page is fetched."""
        answers.append(ip_address("8.8.8.8" if not answers else "127.0.0.1"))
        return [answers[-1]]

    browser = real_browser(tmp_path, "", Connector(Policy(), rebinding))
    browser.start()
    try:
        before = trap.tcp
        url = f"http://rebind.example:{trap.port}/"
        with pytest.raises(BlockedAddress, match=r"rebind\.example:\d+ is blocked: it resolves to"):
            await browser.once(*shot_of(Page(url=url)))
        assert trap.tcp == before
        assert len(answers) >= 2
    finally:
        await browser.close()


async def test_names_are_resolved_by_the_proxy_and_never_by_chromium(
    tmp_path: Path, site: Site, browser_user: None
) -> None:
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address("127.0.0.1")]

    allowed = frozenset([Target("127.0.0.1", site.port)])
    browser = real_browser(tmp_path, "", Connector(Policy(allowed), resolver))
    browser.start()
    try:
        site.put("/named", "<body>named")
        url = f"http://only-the-proxy-knows.example:{site.port}/named"
        shot = await browser.once(*shot_of(Page(url=url)))
        assert shot.page_status == 200
        assert set(asked) == {"only-the-proxy-knows.example"}
    finally:
        await browser.close()
