"""Actions over HTTP with Chromium behind them, in a session and on a page of their own."""

import asyncio
import base64
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.web.app import create_app
from tests.contract.browser.conftest import real_browser, room_of
from tests.contract.browser.playground import REPORT, playground
from tests.contract.browser.site import Trap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

KEY, RECORD = make_key(NewKey(name="a", scopes=("browser", "browser:evaluate")))
PLAIN_KEY, PLAIN = make_key(NewKey(name="b", scopes=("browser",)))
ROOT = "/api/browser"


class Caller:
    """One key's view of the room."""

    def __init__(self, http: httpx.AsyncClient, home: str, key: str) -> None:
        self.http, self.home = http, home
        self.headers = {"authorization": f"Bearer {key}"}

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.http.request(method, ROOT + path, headers=self.headers, **options)

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.ask("POST", path, json=body)

    async def open(self, **body: Any) -> "Sitting":
        answer = await self.post("/sessions", **body)
        assert answer.status_code == 201, answer.text
        return Sitting(self, answer.json()["id"])


class Sitting:
    """One session as its owner uses it."""

    def __init__(self, caller: Caller, id_: str) -> None:
        self.caller, self.id = caller, id_
        self.path = f"/sessions/{id_}"

    async def answer(self, action: str, **body: Any) -> httpx.Response:
        return await self.caller.post(f"{self.path}/{action}", **body)

    async def do(self, action: str, **body: Any) -> Any:
        answer = await self.answer(action, **body)
        assert answer.status_code == 200, answer.text
        kind = answer.headers["content-type"]
        return answer.json() if kind == "application/json" else answer.content

    async def goto(self, path: str) -> Any:
        return await self.do("goto", url=self.caller.home + path)

    async def text(self, selector: str) -> str:
        data = await self.do("extract", fields={"it": {"selector": selector}})
        return data["data"]["it"]

    async def state(self) -> dict[str, Any]:
        return (await self.caller.ask("GET", self.path)).json()

    async def close(self) -> None:
        assert (await self.caller.ask("DELETE", self.path)).status_code == 204


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(
    tmp_path_factory: pytest.TempPathFactory, browser_user: None
) -> AsyncIterator[tuple[Caller, Caller]]:
    async def known() -> list[KeyRecord]:
        return [RECORD, PLAIN]

    keys = KeyRing(known)
    await keys.refresh()
    async with playground() as port:
        browser = real_browser(tmp_path_factory.mktemp("home"), f"127.0.0.1:{port}")
        room = room_of(browser, most=6)
        app = create_app("browser", [room.router()], keys, lifespan=None)
        async with room.running(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://room", timeout=60
            ) as http:
                home = f"http://127.0.0.1:{port}"
                yield Caller(http, home, KEY), Caller(http, home, PLAIN_KEY)


@pytest.fixture
def caller(callers: tuple[Caller, Caller]) -> Caller:
    return callers[0]


@pytest_asyncio.fixture(loop_scope="module")
async def sitting(caller: Caller) -> AsyncIterator[Sitting]:
    session = await caller.open()
    yield session
    await caller.ask("DELETE", session.path)


async def test_a_form_is_filled_and_sent(sitting: Sitting) -> None:
    await sitting.goto("/form")
    await sitting.do("type", role="textbox", label="Name", text="Ann")
    chosen = await sitting.do("select", selector="select", values=["l"])
    assert chosen["selected"] == ["l"]
    await sitting.do("select", role="checkbox", checked=True)
    sent = await sitting.do("click", role="button", label="Send")
    assert sent["url"].endswith("/sent")
    assert await sitting.text("#got") == "{'name': 'Ann', 'size': 'l', 'gift': 'on'}"


async def test_a_login_lasts_and_travels_by_its_storage_to_another_session(
    caller: Caller, sitting: Sitting
) -> None:
    await sitting.goto("/login")
    await sitting.do("type", selector="[name=user]", text="ann")
    await sitting.do("type", selector="[name=password]", text="tea", press="Enter")
    await sitting.do("wait", url="**/account")
    assert await sitting.text("#who") == "ann"
    storage = (await caller.ask("GET", sitting.path + "/storage")).json()
    heir, stranger = await caller.open(storage=storage), await caller.open()
    for session, who in ((heir, "ann"), (stranger, "nobody")):
        await session.goto("/account")
        assert await session.text("#who") == who
        await session.close()


async def test_references_of_a_snapshot_name_elements_for_actions(sitting: Sitting) -> None:
    await sitting.goto("/form")
    seen = await sitting.do("snapshot")
    assert seen["title"] == "Form"
    line = next(line for line in seen["tree"].splitlines() if 'textbox "Name"' in line)
    reference = line.partition("[ref=")[2].partition("]")[0]
    await sitting.do("type", ref=reference, text="Bo")
    changed = await sitting.do("snapshot", diff=True)
    assert "Bo" in changed["tree"]
    assert "Send" not in changed["tree"]
    again = await sitting.do("snapshot", diff=True)
    assert again["tree"] == "no change"
    gone = await sitting.answer("click", ref="e999", timeout_s=1)
    assert gone.status_code in (422, 504)


async def test_a_snapshot_keeps_to_its_budget_and_keeps_what_can_be_used(sitting: Sitting) -> None:
    rows = "".join(f"<p>paragraph number {n} of many</p>" for n in range(400))
    await sitting.goto("/")
    script = f"document.body.innerHTML = `{rows}<button>Go on</button>`"
    await sitting.do("evaluate", expression=script)
    small = await sitting.do("snapshot", tokens=200)
    assert len(small["tree"]) <= 800
    assert small["left_out"] > 300
    assert 'button "Go on"' in small["tree"]


async def test_a_download_comes_back_as_a_file(caller: Caller, sitting: Sitting) -> None:
    await sitting.goto("/files")
    answer = await sitting.answer("download", selector="#get")
    assert answer.content == REPORT
    assert "report.csv" in answer.headers["content-disposition"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await sitting.state())["downloads"] == [{"number": 0, "filename": "report.csv"}]
    assert (await caller.ask("GET", sitting.path + "/downloads/0")).content == REPORT
    assert (await caller.ask("GET", sitting.path + "/downloads/1")).status_code == 404
    once = await caller.post("/download", url=caller.home + "/files", selector="#get")
    assert once.content == REPORT
    page = await sitting.answer("download", link=caller.home + "/form")
    assert page.status_code == 502


async def test_a_file_is_uploaded(sitting: Sitting) -> None:
    await sitting.goto("/files")
    content = base64.b64encode(b"12345").decode()
    file = {"filename": "a.txt", "content": content, "media_type": "text/plain"}
    await sitting.do("upload", selector="[type=file]", files=[file])
    await sitting.do("click", role="button", label="Upload")
    assert await sitting.text("#got") == "a.txt 5 bytes"


async def test_a_popup_is_a_tab_and_a_frame_is_in_the_snapshot(sitting: Sitting) -> None:
    await sitting.goto("/popup")
    await sitting.do("click", role="button", label="Open")
    await sitting.do("wait", load="load")
    tabs = (await sitting.state())["tabs"]
    assert [tab["url"].rpartition("/")[2] for tab in tabs] == ["popup", "form"]
    assert await sitting.do("extract", tab=0, fields={"t": {"selector": "title"}})
    await sitting.goto("/frame")
    tree = (await sitting.do("snapshot"))["tree"]
    reference = tree.partition('textbox "Name" [ref=')[2].partition("]")[0]
    assert reference.startswith("f")
    await sitting.do("type", ref=reference, text="inside")


@pytest.mark.parametrize(("policy", "said"), [("accept", "yes"), ("dismiss", "no")])
async def test_dialogs_are_answered_and_told(caller: Caller, policy: str, said: str) -> None:
    session = await caller.open(dialogs=policy)
    await session.goto("/dialog")
    await session.do("click", selector="button")
    shown, state = await session.text("button"), await session.state()
    await session.close()
    assert shown == said
    assert state["dialogs"] == [{"kind": "confirm", "message": "Sure?"}]


async def test_sockets_and_service_workers_work(sitting: Sitting) -> None:
    await sitting.goto("/socket")
    await sitting.do("wait", text="echo: hello")
    await sitting.goto("/sw")
    await sitting.do("wait", text="worker says hi")


async def test_pictures_of_the_page_and_of_an_element(sitting: Sitting) -> None:
    await sitting.goto("/")
    for kind in ("png", "jpeg", "webp"):
        image = Image.open(io.BytesIO(await sitting.do("screenshot", format=kind)))
        assert (image.format, image.size) == (kind.upper(), (1280, 720))
    element = Image.open(io.BytesIO(await sitting.do("screenshot", selector="h1")))
    assert element.size[1] < 100
    assert (await sitting.do("pdf")).startswith(b"%PDF")


async def test_markdown_is_the_main_content_or_everything(caller: Caller) -> None:
    url = caller.home + "/"
    main = (await caller.post("/markdown", url=url)).text
    assert "first paragraph" in main
    assert "Login" not in main
    whole = (await caller.post("/markdown", url=url, whole=True)).text
    assert "# Playground" in whole
    assert "[Login](/login)" in whole
    assert "<title>Home</title>" in (await caller.post("/content", url=url)).text


async def test_rows_are_extracted_by_selector(caller: Caller) -> None:
    fields = {"name": {"selector": ".n"}, "price": {"selector": ".p"}, "no": {"selector": ".x"}}
    answer = await caller.post("/extract", url=caller.home + "/", rows=".row", fields=fields)
    expected = [{"name": "tea", "price": "3", "no": None}, {"name": "coffee", "price": "4"}]
    expected[1]["no"] = None
    assert answer.json()["data"] == expected
    links = {"links": {"selector": "nav a", "attribute": "href", "every": True}}
    answer = await caller.post("/extract", url=caller.home + "/", fields=links)
    assert answer.json()["data"] == {"links": ["/form", "/login"]}


async def test_script_needs_a_scope_of_its_own(callers: tuple[Caller, Caller]) -> None:
    able, plain = callers
    answer = await able.post("/evaluate", html="<p>x", expression="[1, document.body.innerText]")
    assert answer.json()["value"] == [1, "x"]
    thrown = await able.post("/evaluate", html="<p>x", expression="null.x")
    assert (thrown.status_code, "TypeError" in thrown.text) == (422, True)
    for path in ("/evaluate", f"{(await plain.open()).path}/evaluate"):
        refused = await plain.post(path, html="x", expression="1")
        assert refused.status_code == 403
        assert "browser:evaluate" in refused.text
    for record in (await plain.ask("GET", "/sessions")).json()["sessions"]:
        await plain.ask("DELETE", f"/sessions/{record['id']}")


async def test_another_keys_session_does_not_exist(
    callers: tuple[Caller, Caller], sitting: Sitting
) -> None:
    _, other = callers
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/content"),
        ("GET", "/storage"),
        ("GET", "/downloads/0"),
        ("GET", "/recordings/trace"),
    ):
        answer = await other.ask(method, sitting.path + path, json={})
        assert answer.status_code == 404, (method, path)
    assert (await other.ask("GET", "/sessions")).json() == {"sessions": []}
    assert (await sitting.state())["id"] == sitting.id


async def test_a_session_is_what_was_asked_for(caller: Caller) -> None:
    session = await caller.open(
        width=500, height=400, locale="de-DE", timezone="Asia/Tokyo", user_agent="Robot/1"
    )
    asked = "[innerWidth, navigator.language, navigator.userAgent, new Date(0).getHours()]"
    await session.goto("/")
    value = (await session.do("evaluate", expression=asked))["value"]
    assert value == [500, "de-DE", "Robot/1", 9]
    await session.close()


async def test_a_blocked_address_is_named_and_never_loads(sitting: Sitting, trap: Trap) -> None:
    away = f"http://127.0.0.1:{trap.port}/"
    answer = await sitting.answer("goto", url=away)
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("blocked-address")
    assert "127.0.0.1 is a loopback address" in answer.json()["detail"]
    await sitting.goto("/")
    script = f"document.body.innerHTML = '<a href={away}>away</a>'"
    await sitting.do("evaluate", expression=script)
    clicked = await sitting.answer("click", role="link", label="away")
    assert clicked.status_code == 403, clicked.text
    assert any(str(trap.port) in reason for reason in (await sitting.state())["blocked"])
    assert trap.tcp == 0
    await sitting.goto("/form")


async def test_a_session_keeps_to_its_lists_of_domains(caller: Caller) -> None:
    session = await caller.open(allow=["example.com"])
    answer = await session.answer("goto", url=caller.home)
    assert answer.status_code == 403
    assert "not on the allow list" in answer.text
    await session.close()
    session = await caller.open(deny=["127.0.0.1"])
    answer = await session.answer("goto", url=caller.home)
    assert "on the deny list" in answer.text
    await session.close()


async def test_sessions_end_by_idleness_and_by_age_and_say_so(caller: Caller) -> None:
    idle, old = await caller.open(idle_s=1), await caller.open(lifetime_s=2)
    kept = await caller.open(idle_s=1)
    extended = await caller.ask("PATCH", kept.path, json={"idle_s": 60, "lifetime_s": 100})
    assert extended.json()["idle_s"] == 60
    await asyncio.sleep(3.2)
    for session, why in ((idle, "idle for 1 s"), (old, "lifetime is over")):
        answer = await session.answer("content")
        assert (answer.status_code, answer.json()["type"]) == (
            410,
            "urn:autobot:problem:session-ended",
        )
        assert why in answer.text
    await kept.close()


async def test_a_full_room_queues_and_then_says_when_to_come_again(caller: Caller) -> None:
    many = [await caller.open() for _ in range(6)]
    answer = await caller.post("/sessions", queue_s=0.3)
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    waiting = asyncio.ensure_future(caller.open(queue_s=10))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await many.pop().close()
    many.append(await waiting)
    for session in many:
        await session.close()


async def test_a_trace_and_a_film_are_recorded(caller: Caller) -> None:
    session = await caller.open(trace=True, video=True, width=320, height=240)
    await session.goto("/")
    await session.do("click", role="link", label="Form")
    await session.do("evaluate", expression="document.body.style.background = 'red'")
    await asyncio.sleep(0.5)
    trace = await caller.ask("GET", session.path + "/recordings/trace")
    assert (trace.status_code, trace.content[:2]) == (200, b"PK"), trace.text
    assert b"trace.trace" in trace.content
    film = await caller.ask("GET", session.path + "/recordings/video")
    assert film.content[:4] == b"\x1a\x45\xdf\xa3", film.text  # EBML, which WebM is
    assert b"webm" in film.content[:64]
    await session.close()


async def test_actions_of_one_session_take_turns(sitting: Sitting) -> None:
    await sitting.goto("/")
    slow = asyncio.ensure_future(sitting.do("wait", seconds=1))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await sitting.do("content")
    assert time.monotonic() - began > 0.5
    impatient = asyncio.ensure_future(sitting.do("wait", seconds=2))
    await asyncio.sleep(0.2)
    assert (await sitting.answer("content", timeout_s=0.5)).status_code == 409
    await asyncio.gather(slow, impatient)
