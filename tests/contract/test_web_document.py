"""What the page's client is generated from is what the rooms say of themselves."""

from autobot.automation.reading import schema
from tests.contract.web_document import DOCUMENT, FORMAT, web_document, written

OUT_OF_DATE = "run `python -m tests.contract.web_document`, then `make web`"


async def test_the_page_is_built_from_what_the_rooms_say_of_their_routes() -> None:
    assert DOCUMENT.read_text() == written(await web_document()), OUT_OF_DATE


def test_the_editor_completes_the_format_that_the_platform_reads() -> None:
    assert FORMAT.read_text() == written(schema()), OUT_OF_DATE


async def test_every_answer_that_the_page_reads_has_a_model() -> None:
    binary = {"/api/browser/screenshot", "/api/runs/{run}/events"}
    bare = {
        (path, method)
        for path, operations in (await web_document())["paths"].items()
        for method, operation in operations.items()
        for answer in operation["responses"].values()
        for kind, content in answer.get("content", {}).items()
        if kind == "application/json" and not _named(content.get("schema", {}))
        if path not in binary
    }
    # How a page answered a `goto` is seen live; the page looks at its status alone.
    assert bare <= {("/api/browser/sessions/{session}/goto", "post")}


def _named(schema: dict[str, object]) -> bool:
    return any(word in schema for word in ("$ref", "anyOf", "items"))
