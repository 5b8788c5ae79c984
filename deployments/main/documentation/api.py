"""The platform's documentation: one OpenAPI document, and a page for it that needs no internet."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, Response

from autobot import __version__
from autobot.errors import NotFound
from autobot.web.documents import merge_openapi

KEPT_S = 1.0
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


Rooms = Callable[[], Awaitable[list[dict[str, Any]]]]


class Merged:
    """The whole document as JSON, made once a second at most: nobody needs a key to ask for it, and
    it takes a call of every room."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._making = asyncio.Lock()
        self._made_at = -math.inf
        self._text = b""

    async def document(self, own: Callable[[], dict[str, Any]]) -> bytes:
        """``own`` gives room main's part."""
        async with self._making:
            if time.monotonic() - self._made_at >= KEPT_S:
                merged = merge_openapi([own(), *await self._rooms()])
                self._text, self._made_at = json.dumps(merged).encode(), time.monotonic()
            return self._text


def documentation_routes(rooms: Rooms) -> APIRouter:
    """``rooms`` returns the other rooms' own OpenAPI documents."""
    router = APIRouter(include_in_schema=False)
    static = Path(str(files("fastapi_offline") / "static"))

    @router.get("/")
    async def root() -> dict[str, str]:
        """Return the platform's name and version, and where to go on."""
        return {"name": "AutoBot", "version": __version__, "docs": "/docs", "health": "/api/health"}

    merged = Merged(rooms)

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        """Return one OpenAPI document of all rooms that answer."""
        return Response(await merged.document(request.app.openapi), media_type="application/json")

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        """Return the page that shows the document; it loads nothing from elsewhere."""
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="AutoBot API",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    @router.get("/docs/{asset}")
    async def asset(asset: str) -> FileResponse:
        """Return a file of that page."""
        if asset not in ASSETS:
            raise NotFound(f"There is no /docs/{asset}.")
        return FileResponse(static / asset, media_type=ASSETS[asset])

    return router
