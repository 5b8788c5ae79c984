"""Chromium's processes: none outlives its request, its page's memory, or its replica."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from deployments.browser.chromium import launch
from deployments.browser.chromium.isolation import folders
from deployments.browser.chromium.service import ChromiumBrowser
from deployments.browser.errors import PageFailed
from tests.contract.browser.conftest import Rig, processes
from tests.contract.browser.jobs import shot, shot_html
from tests.processes import command_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

HOLDER = """
import asyncio, contextlib, sys
from pathlib import Path
from autobot.settings import Settings
from deployments.browser.actions import Content
from deployments.browser.egress.policy import Domains
from deployments.browser.engine import Page
from deployments.browser.room import BrowserRoom
from deployments.browser.pages.schemas import NewSession
from autobot.contracts.profiles import FakeProfiles

async def main():
    room = BrowserRoom.of(Settings(home=Path(sys.argv[1])), "here", FakeProfiles(()))
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


async def test_no_renderer_outlives_its_request(chromium: Rig) -> None:
    await asyncio.gather(*(chromium.browser.once(*shot_html(n)) for n in range(6)))
    for _ in range(20):
        if not (await processes(chromium)).get("renderer"):
            return
        await asyncio.sleep(0.1)
    pytest.fail("a renderer outlived every request")


async def test_a_dead_driver_is_replaced(chromium: Rig) -> None:
    """Playwright's own process is killed, not Chromium: both must be new afterwards."""
    before = (await processes(chromium))["browser"][0]
    assert isinstance(chromium.browser, ChromiumBrowser)
    alive = await chromium.browser.restarter.get()
    driver = psutil.Process(launch.family(alive.folders)[0].ppid())
    assert driver.pid != os.getpid()
    driver.kill()
    for _ in range(50):
        if not psutil.pid_exists(before) or psutil.Process(before).status() == "zombie":
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    await chromium.browser.once(*shot_html(1))
    assert (await processes(chromium))["browser"][0] != before


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
    _, left_over = await asyncio.to_thread(psutil.wait_procs, family, 10)
    assert not left_over
    assert profiles
    # Crash handlers are nobody's children: the profile on their command line gives them away.
    paths = [part.partition("=")[2] for part in profiles]
    left = [p for p in psutil.process_iter(["cmdline"]) if mentions(p, paths)]
    assert not psutil.wait_procs(left, 10)[1]
    folders.sweep(Path("/tmp"))  # as the next replica does
    assert not any(Path(part.partition("=")[2]).exists() for part in profiles)
    assert not list(Path("/tmp").glob(f"{folders.PREFIX}{replica.pid}-*"))


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
