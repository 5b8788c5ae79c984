"""`extract` with a schema: filled by the model, valid or refused; by selector as ever."""

import pytest

from tests.contract.browser.agent.conftest import Person

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SCHEMA = {
    "type": "object",
    "properties": {"cities": {"type": "array", "items": {"type": "string"}}},
    "required": ["cities"],
}
CITIES = {"cities": ["Oslo", "Bergen"]}


async def test_a_schema_is_filled_from_the_pages_text(ann: Person) -> None:
    ann.script.outputs = [CITIES]
    answer = await ann.post("/extract", url=ann.home + "/table", schema=SCHEMA)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == CITIES
    assert answer.json()["usage"]["tokens"] > 0
    assert "285273" in ann.script.asked[-1]
    assert "<td>" not in ann.script.asked[-1]


async def test_a_schema_is_filled_in_a_session(ann: Person) -> None:
    sitting = await ann.open()
    await sitting.goto("/table")
    ann.script.outputs = [CITIES]
    assert (await sitting.do("extract", schema=SCHEMA))["data"] == CITIES
    by_selector = await sitting.do("extract", fields={"it": {"selector": "h1"}})
    assert by_selector["data"] == {"it": "Cities"}
    await sitting.close()


async def test_a_long_page_is_read_in_bounded_pieces(ann: Person) -> None:
    ann.script.outputs = [CITIES] * 9
    html = "<main>" + "".join(f"<p>Line {n} of a very long page.</p>" for n in range(4000))
    answer = await ann.post("/extract", html=html, schema=SCHEMA)
    assert answer.status_code == 200, answer.text
    assert len(ann.script.asked) == 4
    assert max(map(len, ann.script.asked)) < 8000
    assert '"Oslo"' in ann.script.asked[1]


async def test_what_is_wrong_with_a_request_is_said_about_the_way_that_was_meant(
    ann: Person,
) -> None:
    bad = await ann.post("/extract", html="<p>x", schema={"type": "object", "required": 3})
    assert (bad.status_code, "not a JSON schema" in bad.text) == (422, True)
    bad = await ann.post("/extract", html="<p>x", fields={})
    assert (bad.status_code, "fields" in bad.json()["detail"]) == (422, True)


async def test_a_model_that_cannot_be_used_is_502_or_503(ann: Person) -> None:
    ann.script.outputs = [{"cities": 3}, {"cities": 4}]
    wrong = await ann.post("/extract", html="<p>x", schema=SCHEMA)
    assert (wrong.status_code, wrong.json()["type"]) == (502, "urn:autobot:problem:model-failed")
    ann.script.status = 503
    away = await ann.post("/extract", html="<p>x", schema=SCHEMA)
    assert (away.status_code, away.json()["type"]) == (503, "urn:autobot:problem:unavailable")


async def test_a_key_without_llm_extracts_by_selector_only(
    ann: Person, people: dict[str, Person]
) -> None:
    plain = people["no-llm"]
    assert (await plain.post("/extract", html="<p>x", schema=SCHEMA)).status_code == 403
    found = await plain.post("/extract", html="<p>x", fields={"it": {"selector": "p"}})
    assert found.json()["data"] == {"it": "x"}


async def test_every_route_is_documented_once_with_its_answers(ann: Person) -> None:
    from fastapi import FastAPI

    app = FastAPI()
    app.include_router(ann.served.room.router())
    paths = app.openapi()["paths"]
    tasks = "/api/browser/tasks"
    assert {p: set(o) for p, o in paths.items() if p.startswith(tasks)} == {
        tasks: {"get", "post"},
        f"{tasks}/{{task}}": {"get", "delete"},
        f"{tasks}/{{task}}/events": {"get"},
        f"{tasks}/{{task}}/answer": {"post"},
    }
    for status in ("401", "403", "422", "429"):
        shape = paths[tasks]["post"]["responses"][status]["content"]
        assert "application/problem+json" in shape
    assert "TaskView" in str(paths[tasks]["post"]["responses"]["201"])
    for path in ("/api/browser/extract", "/api/browser/sessions/{session}/extract"):
        assert "chema" in str(paths[path]["post"]["requestBody"])
        assert paths[path]["post"]["description"].startswith("Values by selector, or")
