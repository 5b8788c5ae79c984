"""What only Chromium can show: isolation, its sandbox, its bounds, and that it never lingers."""

import asyncio
import io
import os
import re
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from autobot.errors import BlockedAddress, Invalid, Timeout
from autobot.settings import Settings
from deployments.browser import launch
from deployments.browser.actions import WaitUntil
from deployments.browser.chromium import ChromiumBrowser
from deployments.browser.driver import Chromium
from deployments.browser.engine import Page, PageFailed
from tests.contract.browser.conftest import Rig, real_browser
from tests.contract.browser.jobs import Job, pdf_of, shot_of
from tests.contract.browser.site import Site

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

HOLDER = """
import asyncio, contextlib, sys
from pathlib import Path
from autobot.settings import Settings
from deployments.browser.actions import Content
from deployments.browser.egress import Domains
from deployments.browser.engine import Page
from deployments.browser.room import BrowserRoom
from deployments.browser.schemas import NewSession

async def main():
    room = BrowserRoom.of(Settings(home=Path(sys.argv[1])), "here")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(room.running(None))
        await room.browser.once(Page(html="up"), Content())
        await room.sessions.open("ann", NewSession())
        for kind in ("cdp", "playwright"):
            await stack.enter_async_context(room.connections.link("ann", kind, Domains()))
        page = Page(html="<script>while(true);</script>", timeout_s=100)
        asyncio.ensure_future(room.browser.once(page, Content(timeout_s=100)))
        await asyncio.sleep(0.5)
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def shot(url: str, wait_until: WaitUntil = "load", timeout_s: float = 30) -> Job:
    return shot_of(Page(url=url, wait_until=wait_until, timeout_s=timeout_s))


async def colour(rig: Rig, page: Page) -> tuple[int, ...]:
    body = (await rig.browser.once(*shot_of(page))).body
    pixel = Image.open(io.BytesIO(body)).convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return pixel


async def processes(rig: Rig) -> dict[str, list[int]]:
    assert isinstance(rig.browser, ChromiumBrowser)
    return await (await rig.browser.keeper.get()).processes()


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


async def test_renderers_are_confined_and_nothing_runs_as_root(chromium: Rig) -> None:
    job = shot_of(Page(html="<script>while(true);</script>", timeout_s=3))
    running = asyncio.ensure_future(chromium.browser.once(*job))
    await asyncio.sleep(1)
    found = await processes(chromium)
    assert found["renderer"]
    launch.prove_sandbox(found["renderer"])
    for pid in (pid for pids in found.values() for pid in pids):
        process = psutil.Process(pid)
        assert process.uids().real != 0
        assert not any("autobot_" in name.lower() for name in _environment(process))
    facts = await chromium.browser.facts()
    assert facts["sandbox"] == "on"
    assert facts["active"] == 1
    with pytest.raises(Timeout):
        await running


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.AccessDenied:
        return {}


async def test_an_unconfined_process_is_no_proof_of_a_sandbox() -> None:
    with pytest.raises(launch.SetupError, match="AUTOBOT_BROWSER_NO_SANDBOX"):
        launch.prove_sandbox([os.getpid()])


async def test_no_renderer_outlives_its_request(chromium: Rig) -> None:
    await asyncio.gather(*(chromium.browser.once(*shot_html(n)) for n in range(6)))
    for _ in range(20):
        if not (await processes(chromium)).get("renderer"):
            return
        await asyncio.sleep(0.1)
    pytest.fail("a renderer outlived every request")


def shot_html(number: int) -> Job:
    return shot_of(Page(html=f"<p>{number}"))


async def test_a_dead_driver_is_replaced(chromium: Rig) -> None:
    """Playwright's own process is killed, not Chromium: both must be new afterwards."""
    before = (await processes(chromium))["browser"][0]
    driver = psutil.Process(before).parent()
    assert driver is not None
    assert driver.pid != os.getpid()
    driver.kill()
    for _ in range(50):
        if not psutil.pid_exists(before) or psutil.Process(before).status() == "zombie":
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    await chromium.browser.once(*shot_html(1))
    assert (await processes(chromium))["browser"][0] != before


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it is over, or a zombie
        return []


def mentions(process: psutil.Process, paths: list[str]) -> bool:
    command = " ".join(process.info["cmdline"] or [])
    return any(path in command for path in paths)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_left_when_the_replica_is_killed(
    tmp_path: Path, browser_user: None, how: signal.Signals
) -> None:
    replica = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert replica.stdout is not None
    while (line := await replica.stdout.readline()) != b"ready\n":
        assert line, "the replica never became ready"
    family = psutil.Process(replica.pid).children(recursive=True)
    assert len(family) > 4
    profiles = {part for p in family for part in command_of(p) if "--user-data-dir=" in part}
    replica.send_signal(how)
    await replica.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 10)
    assert not alive
    assert profiles
    # Crash handlers are nobody's children: the profile on their command line gives them away.
    paths = [part.partition("=")[2] for part in profiles]
    left = [p for p in psutil.process_iter(["cmdline"]) if mentions(p, paths)]
    assert not psutil.wait_procs(left, 10)[1]
    launch.sweep(Path("/tmp"))  # as the next replica does
    assert not any(Path(part.partition("=")[2]).exists() for part in profiles)
    assert not list(Path("/tmp").glob(f"{launch.PRIVATE}{replica.pid}-*"))


NO_NAMESPACES = """#!/bin/sh
# Chromium on a machine that forbids user namespaces: this one's own limit is set to none.
exec unshare --user --map-current-user --keep-caps sh -c '
    echo 0 > /proc/sys/user/max_user_namespaces && exec /usr/lib/chromium/chromium "$@"' - "$@"
"""


async def test_a_machine_without_a_sandbox_is_refused_unless_the_owner_insists(
    tmp_path_factory: pytest.TempPathFactory, browser_user: None
) -> None:
    folder = tmp_path_factory.mktemp("bare")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o011)
    chromium = folder / "chromium"
    chromium.write_text(NO_NAMESPACES)
    chromium.chmod(0o755)
    settings = Settings(home=folder, chromium=chromium)
    with pytest.raises(launch.SetupError, match="sandbox does not work") as refused:
        await Chromium.start(settings)
    assert "AUTOBOT_BROWSER_NO_SANDBOX=1" in refused.value.remedy
    insisting = ChromiumBrowser(Settings(home=folder, chromium=chromium, browser_no_sandbox=True))
    insisting.start()
    try:
        await insisting.once(*shot_html(1))
        assert (await insisting.facts())["sandbox"] == "off"
    finally:
        await insisting.close()


async def test_a_machine_without_chromium_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(launch.SetupError, match="AUTOBOT_CHROMIUM"):
        launch.find_chromium(tmp_path / "absent", tmp_path)


async def test_local_files_cannot_be_seen_from_a_page(chromium: Rig, tmp_path: Path) -> None:
    url = chromium.site.put("/sneaky", "<script>location = 'file:///etc/passwd'</script>stays")
    try:
        await chromium.browser.once(*shot(url, wait_until="networkidle"))
    except BlockedAddress:
        return
    frame = "<iframe src=file:///etc/passwd width=800 height=600 frameborder=0></iframe>"
    blank = await chromium.browser.once(*shot_of(Page(html=frame)))
    colours = Image.open(io.BytesIO(blank.body)).convert("L").crop((0, 0, 800, 600)).getextrema()
    assert colours == (255, 255)


async def test_a_page_that_outgrows_its_memory_is_ended_alone(chromium: Rig) -> None:
    before = (await processes(chromium))["browser"]
    greedy = """<script>
    window.kept = [];
    setInterval(() => kept.push(new Uint8Array(1 << 27).fill(7)), 50);
    </script><img src=/hang>"""
    url = chromium.site.put("/greedy", greedy)
    with pytest.raises(PageFailed, match="memory"):
        await chromium.browser.once(*shot(url, timeout_s=45))
    assert (await processes(chromium))["browser"] == before
    await chromium.browser.once(*shot_html(1))
