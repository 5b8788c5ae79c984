"""The kernel's own word on what bounds the browsers, where control groups can be made."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Playwright

from deployments.browser.chromium import launch
from deployments.browser.chromium.isolation import cgroups, memory
from deployments.browser.chromium.service import ChromiumBrowser
from tests.contract.browser.clients import Served, connected, until
from tests.contract.browser.conftest import real_browser

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


def groups_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cgroup").read_text().split()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(tmp_path: Path, browser_user: None) -> AsyncIterator[ChromiumBrowser]:
    trial = cgroups.prepare(memory.bounds(None))
    trial.close()
    if not trial.groups:
        pytest.skip(trial.why)
    browser = real_browser(tmp_path, "")
    browser.start()
    yield browser
    await browser.close()


async def test_every_process_of_the_browser_is_inside_its_bounds(browser: ChromiumBrowser) -> None:
    chromium = await browser.restarter.get()
    cgroup = chromium.chosen.cgroup
    expected = memory.bounds(None)
    limits = (await browser.facts())["limits"]
    assert "missing" not in limits, limits
    assert abs(limits["memory_mib"] - (expected.memory >> 20)) <= 1
    assert (limits["tasks"], limits["cpus"]) == (expected.tasks, round(expected.cpus, 2))
    found = await chromium.processes()
    inside = f"/{cgroup.groups[0].name}"
    for pid in (pid for pids in found.values() for pid in pids):
        entered = [line for line in groups_of(pid) if line.endswith(inside)]
        assert len(entered) == len(cgroup.groups)


async def test_the_replica_itself_is_outside(browser: ChromiumBrowser) -> None:
    chromium = await browser.restarter.get()
    driver = launch.family(chromium.folders)[0].ppid()
    for pid in (psutil.Process().pid, driver):
        assert not [line for line in groups_of(pid) if cgroups.OURS in line]


async def test_the_bounds_go_with_the_browser(browser: ChromiumBrowser) -> None:
    groups = (await browser.restarter.get()).chosen.cgroup.groups
    await browser.close()

    def gone() -> bool:
        cgroups.Cgroup(groups).close()  # as the next replica does
        return not any(group.exists() for group in groups)

    await until(gone)


@pytest.mark.parametrize("kind", ["playwright", "cdp"])
async def test_a_protocol_connections_processes_are_inside_too(
    browser: ChromiumBrowser, playwright: Playwright, served: Served, kind: str
) -> None:
    shared = served.room.browser
    assert isinstance(shared, ChromiumBrowser)
    chosen = await shared.chosen()
    known = {process.pid for process in psutil.Process().children(recursive=True)}
    async with connected(playwright, served, kind):
        inside = 0
        for process in psutil.Process().children(recursive=True):
            if process.pid in known:
                continue
            with contextlib.suppress(OSError, psutil.Error):  # short-lived ones may be over
                entered = [line for line in groups_of(process.pid) if cgroups.OURS in line]
                if process.status() != psutil.STATUS_ZOMBIE:
                    assert len(entered) == len(chosen.cgroup.groups), process
                    inside += 1
        assert inside > 2
