"""The tools `browser.<action>`: one action on a page of its own."""

from typing import Any

from pydantic import BaseModel, Field

from autobot.contracts.tools import OnUnknown, ToolCall
from autobot.keys import Scope
from autobot.tools.tool import File, Tool
from deployments.browser.actions import (
    Action,
    Content,
    Download,
    Evaluate,
    Extract,
    Markdown,
    Pdf,
    Screenshot,
    Snapshot,
)
from deployments.browser.engine import Browser, Rendered
from deployments.browser.pages.api import domains_of_key
from deployments.browser.pages.schemas import REQUESTS, PageRequest


class Visited(BaseModel):
    status: int | None = Field(None, description="What the page's own server answered.")


class MarkdownResult(Visited):
    markdown: str


class ContentResult(Visited):
    html: str


class FileResult(Visited):
    file: File
    filename: str | None = None


class JsonResult(Visited):
    """``result`` is as the action's own endpoint answers it."""

    result: Any


def _markdown(rendered: Rendered) -> MarkdownResult:
    return MarkdownResult(markdown=rendered.body.decode(), status=rendered.page_status)


def _content(rendered: Rendered) -> ContentResult:
    return ContentResult(html=rendered.body.decode(), status=rendered.page_status)


def _file(rendered: Rendered) -> FileResult:
    file = File.of(rendered.media_type, rendered.body)
    return FileResult(file=file, filename=rendered.filename, status=rendered.page_status)


def _json(rendered: Rendered) -> JsonResult:
    return JsonResult(result=rendered.json(), status=rendered.page_status)


def page_tools(browser: Browser) -> list[Tool[Any, Any]]:
    """Return a tool for every action that makes sense on a page of its own."""

    def tool(
        kind: type[Action],
        title: str,
        description: str,
        result: type[BaseModel],
        read: Any,
        scope: Scope = "browser",
        on_unknown: OnUnknown = "retry",
    ) -> Tool[Any, Any]:
        async def act(given: PageRequest, call: ToolCall) -> BaseModel:
            page = given.page(call.caller.id, domains_of_key(call.caller))
            return read(await browser.once(page, given.action(kind)))

        return Tool(
            name=f"browser.{kind.name}",
            title=title,
            description=description,
            arguments=REQUESTS[kind],
            result=result,
            run=act,
            scopes=("browser",) if scope == "browser" else ("browser", scope),
            reads_only=on_unknown == "retry",
            on_unknown=on_unknown,
        )

    return [
        tool(
            Markdown,
            "Read a web page",
            "Open a page in a real browser and return its main content as Markdown. The first "
            "choice for reading what a page says.",
            MarkdownResult,
            _markdown,
        ),
        tool(
            Content,
            "HTML of a web page",
            "Open a page in a real browser and return its HTML after scripts have run.",
            ContentResult,
            _content,
        ),
        tool(
            Snapshot,
            "Structure of a web page",
            "Open a page and return it as a tree of headings, links, buttons and fields.",
            JsonResult,
            _json,
        ),
        tool(
            Extract,
            "Values of a web page",
            "Open a page and return values by CSS selector, of the page or of each repeating row.",
            JsonResult,
            _json,
        ),
        tool(
            Screenshot,
            "Picture of a web page",
            "Open a page and return a picture of it, of the whole page, or of one element.",
            FileResult,
            _file,
        ),
        tool(
            Pdf,
            "Web page as PDF",
            "Open a page and return it as it would be printed.",
            FileResult,
            _file,
        ),
        tool(
            Download,
            "Download a file",
            "Open a page and return the file that a link or a button of it downloads.",
            FileResult,
            _file,
            on_unknown="ask",
        ),
        tool(
            Evaluate,
            "Run JavaScript in a web page",
            "Open a page, run an expression or a function in it and return its JSON value.",
            JsonResult,
            _json,
            "browser:evaluate",
            "ask",
        ),
    ]
