"""A room with two VMs: what is on one is found through the other, and one may be lost."""

import asyncio
import contextlib
import json
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Playwright
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from autobot.settings import Settings
from deployments.browser.dial import Dialer
from deployments.browser.egress import Policy
from deployments.browser.fake import FakeBrowser
from deployments.browser.memory import Meter
from deployments.browser.peers import FORWARDED
from deployments.browser.room import BrowserRoom
from deployments.browser.sessions import Sessions
from deployments.redis.profiles import FakeProfiles
from tests.contract.browser.callers import KEY, PLAIN, PLAIN_KEY, RECORD, Caller, Sitting
from tests.contract.browser.clients import until
from tests.contract.browser.playground import REPORT, playground
from tests.contract.browser.test_live import hear, say
from tests.contract.browser.test_overhead import MAX_EXTRA_MS
from tests.contract.browser.two_vms import FIRST, SECOND, Vm, two_vms

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

MOST = 3
Vms = tuple[Vm, Vm]


def small_room(replica: str) -> BrowserRoom:
    browser = FakeBrowser(Dialer(Policy()))
    sessions = Sessions(browser, replica, Meter(1 << 40, lambda: 0), MOST)
    return BrowserRoom(browser, sessions, FakeProfiles(()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Vms]:
    async with two_vms(small_room, [RECORD, PLAIN], KEY, "http://unused") as vms:
        yield vms


@pytest_asyncio.fixture(loop_scope="module")
async def vms(both: Vms) -> AsyncIterator[Vms]:
    """Both, with no session left of the test before."""
    yield both
    for vm in both:
        for record in vm.room.sessions.all(RECORD.id):
            await vm.room.sessions.end(RECORD.id, record.id)


async def opened(vm: Vm, seen_from: Vm) -> Sitting:
    """A session of ``vm``, in the hands of somebody who speaks to another one."""
    session = await vm.caller.open()
    return Sitting(seen_from.caller, session.id)


async def test_a_session_is_used_through_the_other_vm(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    answer = await session.answer("screenshot")
    assert answer.status_code == 200
    assert answer.headers["x-autobot-node"] == SECOND
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert answer.content.endswith(b"IEND\xaeB`\x82")
    assert (await session.state())["node"] == SECOND
    extended = await here.caller.ask("PATCH", session.path, json={"idle_s": 77})
    assert extended.json()["idle_s"] == 77
    await session.close()
    assert (await session.answer("content")).status_code == 410
    assert there.room.sessions.all(RECORD.id) == []


async def test_another_key_finds_it_on_neither(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    headers = {"authorization": f"Bearer {PLAIN_KEY}"}
    for vm in vms:
        answer = await vm.caller.http.get(f"/api/browser{session.path}", headers=headers)
        assert answer.status_code == 404
    assert (await here.caller.http.get(f"/api/browser{session.path}")).status_code == 401


async def test_a_bad_request_is_told_by_the_vm_that_has_the_session(vms: Vms) -> None:
    session = await opened(vms[1], seen_from=vms[0])
    answer = await session.answer("goto", url=5)
    assert answer.status_code == 422
    assert answer.json()["instance"].endswith("/goto")


async def test_it_is_watched_through_the_other_vm(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    protocols: Any = ["autobot", f"autobot.key.{KEY}"]
    async with connect(here.url(f"{session.path}/live"), subprotocols=protocols) as live:
        assert live.subprotocol == "autobot"
        await hear(live, "screen", width=1280)
        picture = await asyncio.wait_for(live.recv(), 10)
        while not isinstance(picture, bytes):
            picture = await asyncio.wait_for(live.recv(), 10)
        await say(live, "take")
        await hear(live, "state", wheel="you")
        assert (await session.state())["wheel"] == "person"
        await there.room.sessions.end(RECORD.id, session.id)
        assert "closed" in (await hear(live, "ended"))["reason"]
        await asyncio.wait_for(live.wait_closed(), 10)
        assert live.close_code == 1000
    await until(lambda: there.room.sessions.all(RECORD.id) == [])


async def test_a_viewer_who_leaves_is_gone_from_the_vm_that_shows(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    (record,) = there.room.sessions.all(RECORD.id)
    async with connect(here.url(f"{session.path}/live?token={KEY}")) as live:
        await hear(live, "screen")
        assert record.viewers == 1
    await until(lambda: record.viewers == 0)


async def test_a_refused_viewer_reads_why_through_the_other_vm(vms: Vms) -> None:
    session = await opened(vms[1], seen_from=vms[0])
    with pytest.raises(InvalidStatus) as refusal:
        await connect(vms[0].url(f"{session.path}/live?token={PLAIN_KEY}"))
    assert refusal.value.response.status_code == 404
    assert json.loads(refusal.value.response.body)["type"].endswith("not-found")


async def test_a_caller_who_hangs_up_ends_the_action_on_the_other_vm(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    (record,) = there.room.sessions.all(RECORD.id)
    waits = {"seconds": 30, "timeout_s": 60}
    with pytest.raises(httpx.ReadTimeout):
        await here.caller.ask("POST", f"{session.path}/wait", json=waits, timeout=0.5)
    await until(lambda: not record.turn.locked())


async def test_lists_are_of_both(vms: Vms) -> None:
    mine = [(await vm.caller.open()).id for vm in vms]
    for vm in vms:
        listed = (await vm.caller.ask("GET", "/sessions")).json()
        assert {session["id"] for session in listed["sessions"]} == set(mine)
        assert {session["node"] for session in listed["sessions"]} == {FIRST, SECOND}
        assert listed["unreachable"] == []
    nobody = await vms[0].caller.http.get("/api/browser/sessions")
    assert nobody.status_code == 401


@pytest.mark.parametrize("queue_s", [0, 30])
async def test_who_finds_no_place_here_gets_one_there(vms: Vms, queue_s: int) -> None:
    here = vms[0]
    async with asyncio.timeout(10):
        await asyncio.gather(*(here.caller.open(queue_s=queue_s) for _ in range(2 * MOST)))
    assert [len(vm.room.sessions.all(RECORD.id)) for vm in vms] == [MOST, MOST]
    for vm in vms:
        answer = await vm.caller.post("/sessions", queue_s=0)
        assert answer.status_code == 429
        assert answer.headers["retry-after"]
    waiting = asyncio.ensure_future(here.caller.post("/sessions", queue_s=20))
    await until(lambda: here.room.sessions.lobby.waiting == 1)
    await here.room.sessions.end(RECORD.id, here.room.sessions.all(RECORD.id)[0].id)
    assert (await waiting).status_code == 201


@contextlib.contextmanager
def nobody(silent: bool) -> Iterator[str]:
    """An address where connections are refused, or, ``silent``, where nothing ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with contextlib.ExitStack() as stack:
            if not silent:
                listener.close()
            # Who comes after a full backlog is not answered, as by a VM without power.
            for _ in range(2 if silent else 0):
                caller = stack.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(("127.0.0.1", port))
            yield f"127.0.0.1:{port}"


@pytest.mark.parametrize("silent", [False, True])
async def test_a_lost_vms_sessions_are_refused_with_its_name_and_the_others_go_on(
    silent: bool,
) -> None:
    async with two_vms(small_room, [RECORD], KEY, "http://unused") as (here, there):
        mine, theirs = await here.caller.open(), await opened(there, seen_from=here)
        with nobody(silent) as here.others[SECOND]:
            began = time.monotonic()
            answer = await theirs.answer("content")
            assert answer.status_code == 503
            assert SECOND in answer.json()["detail"]
            with pytest.raises(InvalidStatus) as refusal:
                await connect(here.url(f"{theirs.path}/live?token={KEY}"))
            assert SECOND in json.loads(refusal.value.response.body)["detail"]
            listed = (await here.caller.ask("GET", "/sessions")).json()
            assert [session["id"] for session in listed["sessions"]] == [mine.id]
            assert listed["unreachable"] == [SECOND]
            assert (await mine.answer("content")).status_code == 200
            for _ in range(MOST - 1):
                await here.caller.open()
            assert (await here.caller.post("/sessions", queue_s=0)).status_code == 429
            assert time.monotonic() - began < 12, "two seconds for each of four that are in vain"


async def test_who_has_no_key_is_told_nothing_of_lost_vms(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    with nobody(silent=False) as address:
        known, here.others[SECOND] = here.others[SECOND], address
        answer = await here.caller.http.get(f"/api/browser{session.path}")
        assert answer.status_code == 401
        assert SECOND not in answer.text
        with pytest.raises(InvalidStatus) as refusal:
            await connect(here.url(f"{session.path}/live"))
        assert refusal.value.response.status_code == 401
        here.others[SECOND] = known


@contextlib.asynccontextmanager
async def breaking_off() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads a request and closes; and what it has read."""
    read: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}", read


async def test_what_another_vm_may_have_begun_is_not_begun_again() -> None:
    async with (
        two_vms(small_room, [RECORD], KEY, "http://unused") as (here, _there),
        breaking_off() as (address, read),
    ):
        here.others.clear()
        here.others.update({"127.0.0.13": address, "127.0.0.14": address})
        for _ in range(MOST):
            await here.caller.open()
        answer = await here.caller.post("/sessions", queue_s=0)
        assert answer.status_code == 503
        assert "127.0.0.13" in answer.json()["detail"]
        assert len(read) == 1


async def test_a_handshake_that_breaks_off_is_told_like_a_request() -> None:
    async with (
        two_vms(small_room, [RECORD], KEY, "http://unused") as (here, there),
        breaking_off() as (address, _),
    ):
        session = await opened(there, seen_from=here)
        here.others[SECOND] = address
        with pytest.raises(InvalidStatus) as refusal:
            await connect(here.url(f"{session.path}/live?token={KEY}"))
        assert refusal.value.response.status_code == 503


async def test_many_that_wait_for_one_vm_leave_room_for_others(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    limits = httpx.Limits(max_connections=None)
    base = here.caller.http.base_url
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=60) as http:
        caller = Caller(http, "", KEY)
        waits = [
            asyncio.ensure_future(caller.post(f"{session.path}/wait", seconds=30, timeout_s=60))
            for _ in range(130)
        ]
        await until(lambda: there.room.sessions.find(RECORD.id, session.id).turn.locked())
        assert (await asyncio.wait_for(session.state(), 5))["id"] == session.id
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def test_headers_of_any_bytes_and_bodies_where_none_is_due_pass(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    headers = {**here.caller.headers, "x-name": "Zoë".encode("latin-1")}
    for path in (session.path, "/sessions"):
        url = f"/api/browser{path}"
        answer = await here.caller.http.request("GET", url, headers=headers, content=b"{}")
        assert answer.status_code == 200, answer.text
    assert answer.json()["unreachable"] == []


async def test_a_redirect_leads_back_to_where_the_caller_asked(vms: Vms) -> None:
    session = await opened(vms[1], seen_from=vms[0])
    answer = await vms[0].caller.ask("GET", f"{session.path}/")
    assert answer.status_code == 307
    assert f":{vms[0].port}/" in answer.headers["location"]


async def test_what_was_passed_on_is_not_passed_on_again(vms: Vms) -> None:
    here, there = vms
    session = await opened(there, seen_from=here)
    headers = {**here.caller.headers, FORWARDED: "1"}
    answer = await here.caller.http.get(f"/api/browser{session.path}", headers=headers)
    assert answer.status_code == 404
    assert "replica" in answer.json()["detail"]


@pytest.mark.parametrize("id_", [f"s_7f00000{n}replica_0123456789abcdef" for n in "19"] + ["s_x"])
async def test_an_id_of_no_vm_of_the_room_goes_nowhere(vms: Vms, id_: str) -> None:
    assert (await vms[0].caller.ask("GET", f"/sessions/{id_}")).status_code == 404


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
    await until(lambda: there.room.sessions.lobby.inside == 0)
    await session.close()


async def test_a_download_of_a_cdp_client_is_found_through_either_vm(
    playwright: Playwright, real: Vms
) -> None:
    here, there = real
    url = there.url(f"/cdp?token={KEY}")
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
async def test_an_action_through_another_vm_costs_one_hop(real: Vms) -> None:
    """On loopback: what the network between two VMs adds is not in it."""
    here, there = real
    session = await opened(there, seen_from=here)
    body = {"expression": "1 + 1"}
    direct, through = list[float](), list[float]()
    for _ in range(60):
        for vm, times in ((there, direct), (here, through)):
            began = time.perf_counter()
            answer = await vm.caller.post(f"{session.path}/evaluate", **body)
            times.append(1000 * (time.perf_counter() - began))
            assert answer.json()["value"] == 2
    extra = statistics.median(through) - statistics.median(direct)
    print(f"evaluate: {statistics.median(direct):.2f} ms, through the other VM {extra:+.2f} ms")
    assert extra <= MAX_EXTRA_MS
    await session.close()
