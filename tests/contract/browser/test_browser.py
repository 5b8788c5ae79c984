"""What every `Browser` does, the fake and Chromium alike."""

import asyncio
import io
import time

import pytest
from PIL import Image

from autobot.errors import BlockedAddress, Busy, Timeout, Unavailable
from deployments.browser.engine import Page
from deployments.browser.errors import PageFailed
from tests.contract.browser.conftest import Rig
from tests.contract.browser.jobs import pdf_of, shot_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

RED = "<body style='background:#e01020'>"
ENDLESS = "<script>while(true);</script>"


async def test_a_screenshot_has_the_size_and_the_colour_of_the_page(rig: Rig) -> None:
    page = Page(html=RED, width=320, height=200)
    shot = await rig.browser.once(*shot_of(page))
    assert (shot.media_type, shot.page_status) == ("image/png", None)
    image = Image.open(io.BytesIO(shot.body))
    assert (image.format, image.size) == ("PNG", (320, 200))
    assert image.convert("RGB").getpixel((160, 100)) == (0xE0, 0x10, 0x20)
    assert shot.engine
    assert shot.device


async def test_a_jpeg_is_a_jpeg(rig: Rig) -> None:
    shot = await rig.browser.once(*shot_of(Page(html=RED), format="jpeg"))
    assert shot.media_type == "image/jpeg"
    assert shot.body.startswith(b"\xff\xd8")
    assert shot.body.endswith(b"\xff\xd9")


async def test_a_pdf_is_a_pdf(rig: Rig) -> None:
    printed = await rig.browser.once(*pdf_of(Page(html="<h1>Paper</h1>")))
    assert printed.media_type == "application/pdf"
    assert printed.body.startswith(b"%PDF-")
    assert b"%%EOF" in printed.body[-16:]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/", "127.0.0.1 is a loopback address"),
        ("http://2130706433:{port}/", "127.0.0.1 is a loopback address"),
        ("http://0x7f.1:{port}/", "127.0.0.1 is a loopback address"),
        ("http://0177.0.0.1:{port}/", "127.0.0.1 is a loopback address"),
        ("http://localhost:{port}/", "resolves to"),
        ("http://[::1]:{port}/", "::1 is a loopback address"),
        ("http://[::ffff:127.0.0.1]:{port}/", "is a loopback address"),
        ("http://0.0.0.0:{port}/", "0.0.0.0 is an address of this host"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is a link-local address"),
        ("https://172.16.168.23/", "172.16.168.23 is a cluster address"),
        ("file:///etc/passwd", "http and https only"),
        ("data:text/html,hi", "http and https only"),
        ("chrome://version", "http and https only"),
    ],
)
async def test_an_address_out_of_bounds_is_blocked_and_named(
    rig: Rig, url: str, reason: str
) -> None:
    before = rig.trap.tcp
    page = Page(url=url.format(port=rig.trap.port))
    with pytest.raises(BlockedAddress, match=reason):
        await rig.browser.once(*shot_of(page))
    assert rig.trap.tcp == before


async def test_a_name_that_does_not_resolve_is_said_to(rig: Rig) -> None:
    with pytest.raises(PageFailed, match=r"no-such-name\.invalid does not resolve"):
        await rig.browser.once(*shot_of(Page(url="http://no-such-name.invalid/")))


async def test_a_page_that_never_ends_meets_its_deadline(rig: Rig) -> None:
    began = time.monotonic()
    with pytest.raises(Timeout, match="1 s"):
        await rig.browser.once(*shot_of(Page(html=ENDLESS, timeout_s=1)))
    assert time.monotonic() - began < 4
    await rig.browser.once(*shot_of(Page(html=RED)))


async def test_a_full_line_is_refused_at_once(rig: Rig) -> None:
    job = shot_of(Page(html=ENDLESS, timeout_s=3))
    many = [asyncio.ensure_future(rig.browser.once(*job)) for _ in range(14)]
    results = await asyncio.gather(*many, return_exceptions=True)
    kinds = [type(result) for result in results]
    assert Busy in kinds
    assert Timeout in kinds
    assert set(kinds) == {Busy, Timeout}


async def test_a_crash_fails_what_runs_and_the_next_request_works(rig: Rig) -> None:
    job = shot_of(Page(html=ENDLESS, timeout_s=20))
    running = asyncio.ensure_future(rig.browser.once(*job))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if (await rig.browser.facts())["active"]:
            break
    await asyncio.sleep(0.3)
    await rig.crash()
    with pytest.raises(Unavailable, match="crashed"):
        await running
    await rig.browser.once(*shot_of(Page(html=RED)))


async def test_facts_name_the_device_and_the_engine(rig: Rig) -> None:
    await rig.browser.once(*shot_of(Page(html=RED)))
    facts = await rig.browser.facts()
    assert facts["device"]
    assert facts["engine"]
    assert facts["active"] == 0
