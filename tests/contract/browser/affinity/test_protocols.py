"""A room with two VMs and Chromium: protocol clients find a place, and their files, on either."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Playwright
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from autobot.contracts.profiles import FakeProfiles
from autobot.settings import Settings
from deployments.browser.room import BrowserRoom
from tests.contract.browser.affinity.two_vms import Vm, Vms, breaking_off, opened, two_vms
from tests.contract.browser.callers import KEY, RECORD
from tests.contract.browser.clients import until
from tests.contract.browser.playground import REPORT, playground

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

MAX_ROUND_TRIPS = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory, browser_user: None) -> AsyncIterator[Vms]:
    """Two VMs with Chromium, each with place for one session."""
    home = tmp_path_factory.mktemp("home")
    async with playground() as port:
        settings = Settings(home=home, browser_allow=f"127.0.0.1:{port}", browser_sessions=1)

        def room_of(replica: str) -> BrowserRoom:
            return BrowserRoom.of(settings, replica, FakeProfiles(()))

        async with two_vms(room_of, [RECORD], KEY, f"http://127.0.0.1:{port}") as vms:
            yield vms


@pytest.mark.parametrize("kind", ["cdp", "playwright"])
async def test_a_protocol_client_gets_a_browser_of_the_vm_that_has_place(
    playwright: Playwright, real: Vms, kind: str
) -> None:
    here, there = real
    session = await here.caller.open()
    headers = {"Authorization": f"Bearer {KEY}"}
    url = here.url(f"/{kind}")
    if kind == "cdp":
        browser = await playwright.chromium.connect_over_cdp(url, headers=headers)
    else:
        browser = await playwright.chromium.connect(url, headers=headers)
    assert there.room.connections
    assert there.room.connections.open_now == 1
    page = await browser.new_page()
    await page.goto(here.caller.home + "/form")
    assert await page.title() == "Form"
    listed = (await here.caller.ask("GET", "/connections")).json()
    assert [link["kind"] for link in listed["connections"]] == [kind]
    with pytest.raises(PlaywrightError, match="429"):
        await playwright.chromium.connect(here.url("/playwright"), headers=headers)
    await browser.close()
    await until(lambda: there.room.sessions.admission.inside == 0)
    await session.close()


async def test_a_browser_that_may_have_been_started_is_not_started_elsewhere(real: Vms) -> None:
    here, _ = real
    session = await here.caller.open()
    known = dict(here.others)
    async with breaking_off() as (address, read):
        here.others.clear()
        here.others.update({"127.0.0.13": address, "127.0.0.14": address})
        with pytest.raises(InvalidStatus) as refusal:
            await connect(here.url("/cdp", KEY))
    here.others.clear()
    here.others.update(known)
    assert refusal.value.response.status_code == 503
    assert "127.0.0.13" in json.loads(refusal.value.response.body)["detail"]
    assert len(read) == 1
    await session.close()


async def test_a_download_of_a_cdp_client_is_found_through_either_vm(
    playwright: Playwright, real: Vms
) -> None:
    here, there = real
    url = there.url("/cdp", KEY)
    browser = await playwright.chromium.connect_over_cdp(url)
    cdp = await browser.new_browser_cdp_session()
    behaviour = {"behavior": "allowAndName", "eventsEnabled": True}
    await cdp.send("Browser.setDownloadBehavior", behaviour)
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def progress(event: dict[str, Any]) -> None:
        if event["state"] == "completed":
            done.set_result(event["guid"])

    cdp.on("Browser.downloadProgress", progress)
    page = await browser.new_page()
    await page.goto(here.caller.home + "/files")
    await page.click("#get")
    guid = await asyncio.wait_for(done, 20)
    for vm in real:
        answer = await vm.caller.ask("GET", f"/cdp/downloads/{guid}")
        assert answer.status_code == 200
        assert answer.content == REPORT
        assert (await vm.caller.ask("GET", "/cdp/downloads/none")).status_code == 404
    await browser.close()


@pytest.mark.drill
async def test_an_action_through_another_vm_costs_a_few_round_trips(real: Vms) -> None:
    """On loopback: what the network between two VMs adds is not in it."""
    here, there = real
    session = await opened(there, seen_from=here)

    async def seconds(vm: Vm, times: list[float], method: str, path: str, **body: Any) -> None:
        began = time.perf_counter()
        answer = await vm.caller.ask(method, path, json=body)
        times.append(time.perf_counter() - began)
        assert answer.status_code == 200

    direct, through, bare = list[float](), list[float](), list[float]()
    ways = [(there, direct), (here, through)]
    for _ in range(60):
        ways.reverse()  # who comes second finds the machine awake
        for vm, times in ways:
            await seconds(vm, times, "POST", f"{session.path}/evaluate", expression="1 + 1")
        await seconds(there, bare, "GET", session.path)
    extra = statistics.median(through) - statistics.median(direct)
    ratio = extra / statistics.median(bare)
    print(f"through the other VM: {1000 * extra:+.2f} ms, {ratio:.1f} x a plain answer")
    assert ratio <= MAX_ROUND_TRIPS
    await session.close()
