"""Watching a session and taking its wheel, over a real WebSocket: the fake and Chromium alike."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from autobot.keys import NewKey, make_key
from autobot.web.app import create_app
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Policy, Target
from deployments.browser.engine import MOST_SELECTED, Browser
from deployments.browser.fake import FakeBrowser
from tests.contract.browser.callers import ring
from tests.contract.browser.conftest import real_browser, room_of
from tests.contract.browser.playground import playground, serve_app

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

KEY, RECORD = make_key(NewKey(name="a", scopes=("browser",)))
OTHER_KEY, OTHER = make_key(NewKey(name="b", scopes=("browser",)))


class Room(NamedTuple):
    http: httpx.AsyncClient
    address: str
    site: str

    async def open(self) -> str:
        answer = await self.http.post("/sessions", json={"width": 640, "height": 480})
        return f"/sessions/{answer.json()['id']}"

    async def act(self, session: str, action: str, **body: Any) -> httpx.Response:
        return await self.http.post(f"{session}/{action}", json=body)

    def watch(self, session: str, key: str = KEY) -> connect:
        protocols: Any = ["autobot", f"autobot.key.{key}"]
        return connect(f"ws://{self.address}{session}/live", subprotocols=protocols, proxy=None)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["fake", "chromium"])
async def room(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    browser_user: None,
) -> AsyncIterator[Room]:
    async with playground() as port:
        allowed = frozenset({Target("127.0.0.1", port)})
        browser: Browser = FakeBrowser(Connector(Policy(allowed)))
        if request.param == "chromium":
            browser = real_browser(tmp_path_factory.mktemp("home"), f"127.0.0.1:{port}")
        app = create_app("browser", [room_of(browser, most=8).router()], await ring(RECORD, OTHER))
        headers = {"authorization": f"Bearer {KEY}"}
        async with serve_app(app) as mine:
            address = f"127.0.0.1:{mine}/api/browser"
            async with httpx.AsyncClient(
                base_url=f"http://{address}", headers=headers, timeout=40
            ) as http:
                yield Room(http, address, f"http://127.0.0.1:{port}")


async def say(live: ClientConnection, kind: str, **more: Any) -> None:
    await live.send(json.dumps({"type": kind, **more}))


async def hear(live: ClientConnection, kind: str, **wanted: Any) -> dict[str, Any]:
    """Return the next message of ``kind`` with those values; acknowledges pictures on the way."""
    while True:
        message = await asyncio.wait_for(live.recv(), 10)
        if isinstance(message, bytes):
            await say(live, "ack")
            continue
        said = json.loads(message)
        if said["type"] == kind and all(said[name] == value for name, value in wanted.items()):
            return said


async def fill_and_select(live: ClientConnection, *texts: str) -> None:
    """Write into the form's first field and select all of it."""
    for kind in ("move", "down", "up"):
        await say(live, kind, x=90, y=20)
    for text in texts:
        await say(live, "text", text=text)
    for key in ("Control", "a"):
        await say(live, "key_down", key=key)
    for key in ("a", "Control"):
        await say(live, "key_up", key=key)


async def test_the_screen_comes_as_jpeg_with_its_size(room: Room) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        assert live.subprotocol == "autobot"
        assert await hear(live, "screen", width=640, height=480)
        picture = await asyncio.wait_for(live.recv(), 10)
        while not isinstance(picture, bytes):
            picture = await asyncio.wait_for(live.recv(), 10)
        assert picture[:2] == b"\xff\xd8"
    await room.http.delete(session)


async def test_an_agent_waits_while_a_person_has_the_wheel_and_goes_on_afterwards(
    room: Room,
) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        await hear(live, "state", wheel="agent")
        await say(live, "move", x=1, y=1)
        assert "wheel first" in (await hear(live, "refused"))["reason"]
        await say(live, "take")
        await hear(live, "state", wheel="you")
        assert (await room.http.get(session)).json()["wheel"] == "person"
        refused = await room.act(session, "content", timeout_s=0.5)
        assert (refused.status_code, "retry-after" in refused.headers) == (423, True)
        assert refused.json()["type"].endswith("wheel-taken")
        began = time.monotonic()
        waiting = asyncio.ensure_future(room.act(session, "content", timeout_s=10))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        await say(live, "release")
        assert (await waiting).status_code == 200
        assert time.monotonic() - began >= 0.7
    await room.http.delete(session)


async def test_only_one_person_drives_and_the_wheel_is_free_when_they_go(room: Room) -> None:
    session = await room.open()
    async with room.watch(session) as first, room.watch(session) as second:
        await say(first, "take")
        await hear(second, "state", wheel="person")
        await say(second, "take")
        assert "Another person" in (await hear(second, "refused"))["reason"]
        await first.close()
        await hear(second, "state", wheel="agent")
        await say(second, "take")
        await hear(second, "state", wheel="you")
    await room.http.delete(session)


async def test_a_person_who_drives_opens_addresses_and_an_agent_still_waits(room: Room) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        await say(live, "goto", url=room.site + "/files")
        assert "wheel first" in (await hear(live, "refused"))["reason"]
        await say(live, "take")
        await hear(live, "state", wheel="you")
        await say(live, "goto", url=room.site + "/files")
        tab = {"tab": 0, "url": room.site + "/files", "newest": True}
        await hear(live, "state", tabs=[tab])
        refused = await room.act(session, "content", timeout_s=0.5)
        assert refused.status_code == 423
    await room.http.delete(session)


async def test_a_person_does_not_wait_for_an_action_that_waits_for_them(room: Room) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        await say(live, "take")
        await hear(live, "state", wheel="you")
        waiting = asyncio.ensure_future(room.act(session, "content", timeout_s=20))
        await asyncio.sleep(0.3)
        behind = await room.act(session, "content", timeout_s=0.5)
        assert behind.status_code == 423, "it waits for the wheel too"
        await say(live, "goto", url=room.site + "/files")
        tab = {"tab": 0, "url": room.site + "/files", "newest": True}
        async with asyncio.timeout(10):
            await hear(live, "state", tabs=[tab])
        assert not waiting.done()
        await say(live, "release")
        assert (await waiting).status_code == 200
    await room.http.delete(session)


async def test_a_page_that_could_not_begin_to_load_is_not_opened_after_letting_go(
    room: Room,
) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        before = (await hear(live, "state"))["tabs"]
        running = asyncio.ensure_future(room.act(session, "wait", seconds=1.5, timeout_s=10))
        await asyncio.sleep(0.3)
        await say(live, "take")
        await say(live, "goto", url=room.site + "/files")
        await say(live, "release")
        assert "let go" in (await hear(live, "refused"))["reason"]
        assert (await running).status_code == 200
        assert (await room.http.get(session)).json()["tabs"] == before
    await room.http.delete(session)


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "file:///etc/passwd", "http://[::1]/"])
async def test_an_address_that_may_not_be_visited_is_refused_with_the_reason(
    room: Room, url: str
) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        await say(live, "take")
        await say(live, "goto", url=url)
        assert (await hear(live, "refused"))["reason"]
        await say(live, "goto", url=room.site + "/popup")
        tab = {"tab": 0, "url": room.site + "/popup", "newest": True}
        await hear(live, "state", tabs=[tab])
    await room.http.delete(session)


@pytest.mark.parametrize("told", [{}, {"url": "http://a/", "history": "back"}, {"history": "up"}])
async def test_a_goto_that_says_not_where_is_not_understood(
    room: Room, told: dict[str, str]
) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        await say(live, "take")
        await say(live, "goto", **told)
        assert "not understood" in (await hear(live, "refused"))["reason"]
    await room.http.delete(session)


async def test_the_selected_text_is_told_to_who_drives(room: Room) -> None:
    session = await room.open()
    await room.act(session, "goto", url=room.site + "/form")
    async with room.watch(session) as live:
        await say(live, "copy")
        assert "wheel first" in (await hear(live, "refused"))["reason"]
        await say(live, "take")
        await fill_and_select(live, "to be copied")
        await say(live, "copy")
        assert (await hear(live, "copied"))["text"] == "to be copied"
    await room.http.delete(session)


async def test_a_long_selection_is_cut_and_a_letter_cut_in_two_is_survived(room: Room) -> None:
    session = await room.open()
    await room.act(session, "goto", url=room.site + "/form")
    async with room.watch(session) as live:
        await say(live, "take")
        # A pair of UTF-16 units each: after one letter, the bound falls between two of a pair.
        await fill_and_select(live, "a", *["\N{GREEN APPLE}" * 10_000] * 6)
        await say(live, "copy")
        copied = (await hear(live, "copied"))["text"]
        assert copied.startswith("a\N{GREEN APPLE}")
        assert len(copied) <= MOST_SELECTED
    await room.http.delete(session)


@pytest.mark.parametrize("text", ["", "[]", '{"type": "fly"}', '{"type": "move", "x": "no"}'])
async def test_what_is_not_understood_is_refused_and_survived(room: Room, text: str) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        await live.send(text)
        assert "not understood" in (await hear(live, "refused"))["reason"]
        await say(live, "take")
        await hear(live, "state", wheel="you")
    await room.http.delete(session)


async def test_a_viewer_who_acknowledges_nothing_gets_two_pictures(room: Room) -> None:
    session = await room.open()
    pictures = 0
    async with room.watch(session) as live:
        ends = time.monotonic() + 1.5
        while (left := ends - time.monotonic()) > 0:
            try:
                pictures += isinstance(await asyncio.wait_for(live.recv(), left), bytes)
            except TimeoutError:
                break
    assert 1 <= pictures <= 2
    await room.http.delete(session)


async def test_viewers_are_told_when_a_session_ends(room: Room) -> None:
    session = await room.open()
    async with room.watch(session) as live:
        await hear(live, "state")
        await room.http.delete(session)
        assert "closed" in (await hear(live, "ended"))["reason"]
        with pytest.raises(ConnectionClosed):
            await hear(live, "nothing more")


async def test_another_keys_session_cannot_be_watched(room: Room) -> None:
    session = await room.open()
    for key, status in ((OTHER_KEY, 404), ("ab_nonsense", 401), ("", 401)):
        with pytest.raises(InvalidStatus) as refused:
            async with room.watch(session, key):
                pass
        assert refused.value.response.status_code == status
    await room.http.delete(session)


async def test_a_person_clicks_types_and_scrolls(room: Room, request: Any) -> None:
    if "fake" in request.node.name:
        pytest.skip("the fake draws no page to click on")
    session = await room.open()
    await room.act(session, "goto", url=room.site + "/form")
    async with room.watch(session) as live:
        await say(live, "take")
        await hear(live, "state", wheel="you")
        await say(live, "move", x=90, y=20)
        await say(live, "down", x=90, y=20)
        await say(live, "up", x=90, y=20)
        await say(live, "text", text="Ann ")
        for key in "Bo":
            await say(live, "key_down", key=key)
            await say(live, "key_up", key=key)
        await say(live, "wheel", x=10, y=10, dy=100)
        await say(live, "release")
        await hear(live, "state", wheel="agent")
        fields = {"name": {"selector": "[name=name]"}}
        found = (await room.act(session, "extract", fields=fields)).json()
        assert found["data"] == {"name": "Ann Bo"}
        changed = []
        for _ in range(20):
            message = await asyncio.wait_for(live.recv(), 5)
            if isinstance(message, bytes):
                await say(live, "ack")
                changed.append(Image.open(io.BytesIO(message)).size)
                break
        assert changed
    await room.http.delete(session)
