"""What is read from pages, over HTTP with Chromium behind it: pictures, text, trees, recordings."""

import asyncio
import io

import pytest
from PIL import Image

from tests.contract.browser.callers import Caller, Sitting

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


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
