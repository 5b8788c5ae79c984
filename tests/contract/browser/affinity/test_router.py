"""A room with two VMs: what is on one is found through the other."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from deployments.browser.affinity.router import FORWARDED
from tests.contract.browser.affinity.two_vms import FIRST, MOST, SECOND, Vms, opened
from tests.contract.browser.callers import KEY, PLAIN_KEY, RECORD
from tests.contract.browser.clients import until
from tests.contract.browser.sessions.test_live import hear, say

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


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
    async with connect(here.url(f"{session.path}/live", KEY)) as live:
        await hear(live, "screen")
        assert record.viewers == 1
    await until(lambda: record.viewers == 0)


async def test_a_refused_viewer_reads_why_through_the_other_vm(vms: Vms) -> None:
    session = await opened(vms[1], seen_from=vms[0])
    with pytest.raises(InvalidStatus) as refusal:
        await connect(vms[0].url(f"{session.path}/live", PLAIN_KEY))
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
    await until(lambda: here.room.sessions.admission.waiting == 1)
    await here.room.sessions.end(RECORD.id, here.room.sessions.all(RECORD.id)[0].id)
    assert (await waiting).status_code == 201


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
