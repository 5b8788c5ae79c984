"""What every session does, the fake's and Chromium's alike; and what becomes of them in a crash."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import psutil
import pytest
import pytest_asyncio

from autobot.errors import AutoBotError, BlockedAddress, NotFound, Unavailable
from deployments.browser.actions import Content, Goto, Screenshot, Wait
from deployments.browser.chromium.isolation.memory import Meter, descendants, proportional
from deployments.browser.chromium.service import ChromiumBrowser
from deployments.browser.egress.policy import Domains
from deployments.browser.engine import Session, SessionSpec
from deployments.browser.errors import SessionEnded
from deployments.browser.pages.schemas import NewSession
from deployments.browser.sessions.service import Sessions
from tests.contract.browser.conftest import Rig

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


def rooms(rig: Rig, most: int = 8) -> Sessions:
    return Sessions(rig.browser, "here", Meter(1 << 40, lambda: 0), most)


@pytest_asyncio.fixture(loop_scope="module")
async def session(rig: Rig) -> AsyncIterator[Session]:
    opened = await rig.browser.open(SessionSpec(width=320, height=200))
    yield opened
    await opened.close()


async def test_a_session_remembers_where_it_is(rig: Rig, session: Session) -> None:
    url = rig.site.put("/somewhere", "<p>here")
    gone = (await session.act(Goto(url=url))).json()
    assert gone == {"url": url, "status": 200}
    assert [tab["url"] for tab in session.state().tabs] == [url]
    assert (await session.act(Screenshot())).body.startswith(b"\x89PNG")


async def test_blocked_addresses_and_domains_are_refused_in_sessions(
    rig: Rig, session: Session
) -> None:
    before = rig.trap.tcp
    with pytest.raises(BlockedAddress, match="loopback"):
        await session.act(Goto(url=f"http://127.0.0.1:{rig.trap.port}/"))
    narrow = await rig.browser.open(SessionSpec(domains=Domains(allow=("example.com",))))
    with pytest.raises(BlockedAddress, match="allow list"):
        await narrow.act(Goto(url=f"http://127.0.0.1:{rig.site.port}/"))
    await narrow.close()
    assert rig.trap.tcp == before


async def test_what_was_not_recorded_or_downloaded_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound):
        await session.download(0)
    with pytest.raises(NotFound, match="records no trace"):
        await session.recording("trace")


async def test_storage_goes_out_and_in_again(rig: Rig, session: Session) -> None:
    storage = await session.storage()
    assert set(storage) >= {"cookies", "origins"}
    again = await rig.browser.open(SessionSpec(storage=storage))
    assert (await again.storage())["cookies"] == storage["cookies"]
    await again.close()


async def test_a_crash_ends_every_session_with_the_reason_and_the_next_one_works(rig: Rig) -> None:
    sessions = rooms(rig)
    sessions.start()
    first = await sessions.open("ann", NewSession())
    second = await sessions.open("bo", NewSession())
    running = asyncio.ensure_future(sessions.act("ann", first.id, Wait(seconds=1)))
    await asyncio.sleep(0.2)
    await rig.crash()
    with contextlib.suppress(AutoBotError):
        await running
    for owner, record in (("ann", first), ("bo", second)):
        with pytest.raises((SessionEnded, Unavailable), match="crashed"):
            await sessions.act(owner, record.id, Content())
    await asyncio.sleep(1)
    assert sessions.admission.inside == 0
    third = await sessions.open("ann", NewSession())
    assert (await sessions.act("ann", third.id, Content())).media_type.startswith("text/html")
    await sessions.close()
    assert sessions.admission.inside == 0


async def test_a_session_of_another_replica_is_not_found_and_says_so(rig: Rig) -> None:
    sessions = rooms(rig)
    with pytest.raises(NotFound, match="replica"):
        sessions.find("ann", "s_7f000002elsewhere_0123456789abcdef")
    with pytest.raises(NotFound, match="no such session"):
        sessions.find("ann", "nonsense")


def _is_zombie(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return False


class Taken(NamedTuple):
    """What this process, the driver and Chromium take: open files of each, bytes of all."""

    files: tuple[int, ...]
    memory: int


async def taken(rig: Rig) -> Taken:
    assert isinstance(rig.browser, ChromiumBrowser)
    chromium = psutil.Process((await (await rig.browser.restarter.get()).processes())["browser"][0])
    driver = chromium.parent()
    assert driver is not None
    files = [process.num_fds() for process in (psutil.Process(), driver, chromium)]
    return Taken(tuple(files), proportional([psutil.Process().pid, *descendants()]))


async def many_sessions(rig: Rig, count: int, at_once: int = 5) -> list[Taken]:
    """Open ``count`` sessions, a real page in each, and look at what they leave.

    Return what was taken after a tenth of them, and at the end.
    """
    assert isinstance(rig.browser, ChromiumBrowser)
    sessions = rooms(rig, most=at_once)
    sessions.start()
    url = rig.site.put("/many", "<p>one of many<script>localStorage.x = 1</script>")
    await rig.browser.restarter.get()
    before = {p.pid for p in psutil.Process().children(recursive=True)}

    async def one() -> None:
        record = await sessions.open("ann", NewSession(queue_s=60))
        await sessions.act("ann", record.id, Goto(url=url))
        await sessions.end("ann", record.id)

    figures: list[Taken] = []
    for number in range(count // 10):
        await asyncio.gather(*(one() for _ in range(10)))
        if number + 1 == count // 100:
            figures.append(await taken(rig))
    await sessions.close()
    new: list[psutil.Process] = []
    for _ in range(100):  # a process is a zombie for as long as its parent takes to notice
        after = psutil.Process().children(recursive=True)
        new = [p for p in after if p.pid not in before]
        if len(new) <= 2 and not any(_is_zombie(p) for p in new):
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail(f"left behind: {new}")
    chromium = await rig.browser.restarter.get()
    assert chromium.open_contexts == 0
    assert not (await chromium.processes()).get("renderer")
    return [*figures, await taken(rig)]


async def test_nothing_is_left_of_fifty_sessions(chromium: Rig) -> None:
    await many_sessions(chromium, 50)


@pytest.mark.drill
@pytest.mark.timeout(1200)
async def test_nothing_is_left_of_a_thousand_sessions_and_memory_is_flat(chromium: Rig) -> None:
    began = time.monotonic()
    early, late = await many_sessions(chromium, 1000)
    print(f"1000 sessions in {time.monotonic() - began:.0f} s; {early} -> {late}")
    # A file a session would be 900 more; Chromium keeps some open for a while.
    for before, after in zip(early.files, late.files, strict=True):
        assert after <= before + 20
    assert late.memory <= 1.2 * early.memory
