"""A room with two VMs, one of which is gone, silent, breaks off or has much to do."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.contract.browser.affinity.two_vms import (
    MOST,
    SECOND,
    Vms,
    breaking_off,
    opened,
    small_room,
    two_vms,
)
from tests.contract.browser.callers import KEY, RECORD, Caller
from tests.contract.browser.clients import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


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
                await connect(here.url(f"{theirs.path}/live", KEY))
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
            await connect(here.url(f"{session.path}/live", KEY))
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
