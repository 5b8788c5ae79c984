"""What is done on pages, over HTTP with Chromium behind it."""

import base64

import pytest

from tests.contract.browser.callers import Caller, Sitting
from tests.contract.browser.playground import REPORT

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


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
    await sitting.do("wait", tab=1, load="load")  # a click is done before its tab is open
    tabs = (await sitting.state())["tabs"]
    assert [tab["url"].rpartition("/")[2] for tab in tabs] == ["popup", "form"]
    assert await sitting.do("extract", tab=0, fields={"t": {"selector": "title"}})
    await sitting.goto("/frame")
    tree = (await sitting.do("snapshot"))["tree"]
    reference = tree.partition('textbox "Name" [ref=')[2].partition("]")[0]
    assert reference.startswith("f")
    await sitting.do("type", ref=reference, text="inside")


async def test_a_tab_that_never_opens_is_waited_for_until_the_deadline(sitting: Sitting) -> None:
    await sitting.goto("/popup")
    answer = await sitting.answer("wait", tab=1, timeout_s=0.5)
    assert answer.status_code == 504
    assert (await sitting.answer("content", tab=1)).status_code == 404


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
