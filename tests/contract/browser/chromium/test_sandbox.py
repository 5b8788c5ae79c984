"""Chromium's sandbox, its user, and what a page sees of this machine."""

import asyncio
import io
import os
from pathlib import Path

import psutil
import pytest
from PIL import Image

from autobot.errors import BlockedAddress, Timeout
from autobot.settings import Settings
from deployments.browser.chromium import launch
from deployments.browser.chromium.driver import Chromium
from deployments.browser.chromium.service import ChromiumBrowser
from deployments.browser.engine import Page
from tests.contract.browser.conftest import Rig, processes
from tests.contract.browser.jobs import shot, shot_html, shot_of
from tests.folders import let_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

NO_NAMESPACES = """#!/bin/sh
# Chromium on a machine that forbids user namespaces: this one's own limit is set to none.
exec unshare --user --map-current-user --keep-caps sh -c '
    echo 0 > /proc/sys/user/max_user_namespaces && exec /usr/lib/chromium/chromium "$@"' - "$@"
"""


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.AccessDenied:
        return {}


async def test_renderers_are_confined_and_nothing_runs_as_root(chromium: Rig) -> None:
    job = shot_of(Page(html="<script>while(true);</script>", timeout_s=10))
    await processes(chromium)  # which waits for the browser
    running = asyncio.ensure_future(chromium.browser.once(*job))
    while not (found := await processes(chromium)).get("renderer"):
        assert not running.done()
        await asyncio.sleep(0.05)
    await launch.prove_sandbox(found["renderer"], found["browser"][0])
    for pid in (pid for pids in found.values() for pid in pids):
        process = psutil.Process(pid)
        assert process.uids().real != 0
        assert not any("autobot_" in name.lower() for name in _environment(process))
    facts = await chromium.browser.facts()
    assert facts["sandbox"] == "on"
    assert facts["active"] == 1
    with pytest.raises(Timeout):
        await running


async def test_an_unconfined_process_is_no_proof_of_a_sandbox() -> None:
    with pytest.raises(launch.SetupError, match="AUTOBOT_BROWSER_NO_SANDBOX"):
        await launch.prove_sandbox([os.getpid()], os.getppid(), within_s=0.2)


async def test_a_machine_without_a_sandbox_is_refused_unless_the_owner_insists(
    tmp_path_factory: pytest.TempPathFactory, browser_user: None
) -> None:
    folder = let_in(tmp_path_factory.mktemp("bare"))
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
