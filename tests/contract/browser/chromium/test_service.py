"""What only Chromium can show of pages: isolation, sizes, deadlines, and why one failed."""

import io
import re
import socket
from pathlib import Path

import pytest
from PIL import Image

from autobot.errors import Invalid, Timeout
from deployments.browser.engine import Page
from deployments.browser.errors import PageFailed
from tests.contract.browser.conftest import Rig, real_browser
from tests.contract.browser.jobs import pdf_of, shot, shot_of
from tests.contract.browser.site import Site

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]


async def colour(rig: Rig, page: Page) -> tuple[int, ...]:
    body = (await rig.browser.once(*shot_of(page))).body
    pixel = Image.open(io.BytesIO(body)).convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return pixel


async def test_contexts_share_no_cookies_and_no_storage(chromium: Rig) -> None:
    """The page turns green when it finds what an earlier visit left, and leaves something."""
    script = """<body style="background:#ffffff"><script>
    if (document.cookie || localStorage.left) document.body.style.background = '#00ff00';
    document.cookie = 'left=1; max-age=1000'; localStorage.left = 1;
    </script>"""
    url = chromium.site.put("/leaves", script, headers="Set-Cookie: served=1\r\n")
    seen = len(chromium.site.requests)
    # The first visit finds its own Set-Cookie; so does every other, which is why it is HttpOnly.
    url = chromium.site.put("/leaves", script, headers="Set-Cookie: served=1; HttpOnly\r\n")
    for _ in range(2):
        assert await colour(chromium, Page(url=url)) == (255, 255, 255)
    pages = [head for head in chromium.site.requests[seen:] if "GET /leaves " in head]
    assert len(pages) == 2
    assert not any("cookie:" in head.lower() for head in pages)


async def test_the_pages_own_status_is_told(chromium: Rig) -> None:
    missing = f"http://127.0.0.1:{chromium.site.port}/missing"
    assert (await chromium.browser.once(*shot(missing))).page_status == 404


async def test_a_redirect_inside_the_allowed_site_is_followed(chromium: Rig) -> None:
    there = chromium.site.put("/there", "<body style='background:#0000ff'>")
    url = chromium.site.redirect("/here", there)
    assert await colour(chromium, Page(url=url)) == (0, 0, 255)


async def test_a_full_page_is_as_tall_as_the_page(chromium: Rig) -> None:
    page = Page(html="<body style='margin:0'><div style='height:2000px'>", width=300, height=200)
    body = (await chromium.browser.once(*shot_of(page, full_page=True))).body
    assert Image.open(io.BytesIO(body)).size == (300, 2000)


async def test_a_full_page_too_large_for_memory_is_refused(chromium: Rig) -> None:
    page = Page(html="<div style='height:900000px'>")
    with pytest.raises(Invalid, match="full_page"):
        await chromium.browser.once(*shot_of(page, full_page=True))


async def test_paper_and_orientation_shape_the_pdf(chromium: Rig) -> None:
    """A5 is 148 x 210 mm: 419.5 x 595.3 points of 1/72 inch."""
    for landscape, expected in ((False, (419.5, 595.3)), (True, (595.3, 419.5))):
        job = pdf_of(Page(html="x"), paper="A5", landscape=landscape)
        box = re.search(
            rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", (await chromium.browser.once(*job)).body
        )
        assert box is not None
        assert (float(box[1]), float(box[2])) == pytest.approx(expected, abs=1)


async def test_a_server_that_never_answers_meets_the_deadline(chromium: Rig) -> None:
    url = f"http://127.0.0.1:{chromium.site.port}/hang"
    with pytest.raises(Timeout):
        await chromium.browser.once(*shot(url, timeout_s=1.0))


async def test_a_closed_port_is_a_failed_page_with_the_reason(
    tmp_path: Path, browser_user: None
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    browser = real_browser(tmp_path, f"127.0.0.1:{port}")
    browser.start()
    try:
        for scheme in ("http", "https"):
            with pytest.raises(PageFailed, match=f"127.0.0.1:{port} cannot be reached"):
                await browser.once(*shot(f"{scheme}://127.0.0.1:{port}/"))
    finally:
        await browser.close()


async def test_an_answer_that_is_a_download_is_a_failed_page(chromium: Rig) -> None:
    headers = "Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n"
    url = chromium.site.put("/file", "x" * 1000, headers=headers)
    with pytest.raises(PageFailed):
        await chromium.browser.once(*shot(url))


async def test_a_kept_connection_never_answers_for_another_host(
    tmp_path: Path, site: Site, browser_user: None
) -> None:
    """Both names lead to one server that keeps connections open; each page needs its own."""
    browser = real_browser(tmp_path, f"127.0.0.1:{site.port},localhost:{site.port}")
    browser.start()
    try:
        site.put("/inner", "<body style='background:#00ff00'>")
        inner = f"http://localhost:{site.port}/inner"
        url = site.put("/outer", f"<iframe src={inner}></iframe>")
        seen = len(site.requests)
        await browser.once(*shot(url, wait_until="networkidle"))
        hosts = [head.lower().split("host: ")[1].split("\r\n")[0] for head in site.requests[seen:]]
        assert {f"127.0.0.1:{site.port}", f"localhost:{site.port}"} <= set(hosts)
    finally:
        await browser.close()
