"""The platform's documentation: one OpenAPI document, and a page for it that needs no internet."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from autobot import __version__
from autobot.errors import NotFound
from autobot.web.documents import merge_openapi

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


def documentation_routes(rooms: Callable[[], Awaitable[list[dict[str, Any]]]]) -> APIRouter:
    """``rooms`` returns the other rooms' own OpenAPI documents."""
    router = APIRouter(include_in_schema=False)
    static = Path(str(files("fastapi_offline") / "static"))

    @router.get("/")
    async def root() -> dict[str, str]:
        return {"name": "AutoBot", "version": __version__, "docs": "/docs", "health": "/api/health"}

    @router.get("/openapi.json")
    async def openapi(request: Request) -> dict[str, Any]:
        return merge_openapi([request.app.openapi(), *await rooms()])

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="AutoBot API",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    @router.get("/docs/{asset}")
    async def asset(asset: str) -> FileResponse:
        if asset not in ASSETS:
            raise NotFound(f"There is no /docs/{asset}.")
        return FileResponse(static / asset, media_type=ASSETS[asset])

    return router
