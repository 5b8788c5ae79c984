"""`POST /api/browser/screenshot` and `/pdf`: the bytes come back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Response

from autobot.web.auth import require
from deployments.browser.engine import Browser, Rendered
from deployments.browser.schemas import PdfRequest, ScreenshotRequest

PROBLEMS: dict[int, str] = {
    401: "No API key, or an unknown one",
    403: "The key lacks the scope `browser`, or the page's address is blocked",
    422: "A value is out of bounds",
    429: "The queue is full",
    502: "The page does not load",
    503: "The browser crashed or is starting",
    504: "The page was not ready in time",
}


def _responses(*media_types: str) -> dict[int | str, dict[str, Any]]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    refusals = {
        status: {"description": text, "content": {"application/problem+json": {}}}
        for status, text in PROBLEMS.items()
    }
    return {200: {"content": dict.fromkeys(media_types, binary)}, **refusals}


def answer(rendered: Rendered) -> Response:
    headers = {
        "x-autobot-device": rendered.device,
        "x-autobot-engine": rendered.engine,
        "cache-control": "no-store",
        # A page chose these bytes: no client may take them for anything but what they are.
        "x-content-type-options": "nosniff",
    }
    if rendered.page_status is not None:
        headers["x-autobot-page-status"] = str(rendered.page_status)
    return Response(rendered.body, media_type=rendered.media_type, headers=headers)


def browser_routes(browser: Browser) -> APIRouter:
    """Return the routes around ``browser``, which starts and ends with the application."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        browser.start()
        try:
            yield
        finally:
            await browser.close()

    router = APIRouter(
        prefix="/api/browser",
        tags=["browser"],
        dependencies=[Depends(require("browser"))],
        lifespan=running,
        default_response_class=Response,
    )

    @router.post("/screenshot", responses=_responses("image/png", "image/jpeg"))
    async def screenshot(request: ScreenshotRequest) -> Response:
        """Return a picture of a page, rendered in a fresh isolated browser context."""
        return answer(await browser.screenshot(request.job()))

    @router.post("/pdf", responses=_responses("application/pdf"))
    async def pdf(request: PdfRequest) -> Response:
        """Return a page as PDF, rendered in a fresh isolated browser context."""
        return answer(await browser.pdf(request.job()))

    return router
