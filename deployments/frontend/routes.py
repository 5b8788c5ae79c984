"""What a browser asks of room frontend: the page's files and where the platform is."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from autobot.errors import BadRequest
from deployments.frontend.site import Site

# What may stand in a Host header's name: it is echoed into the page's security policy.
HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")

HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

NOT_BUILT_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>AutoBot: not built</title>
<h1>The web interface is not built</h1>
<p>In the checkout, run <code>make web</code>, then reload this page. The API works without it.</p>
"""


LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True)
class Platform:
    """Where the platform is, seen from here. ``main`` is None when it is this same machine."""

    main: str | None
    http_port: int
    desktop_port: int
    public_api: str | None = None

    def addresses(self, host: str) -> dict[str, str]:
        """URLs for a browser that reached this room as ``host``: a name or address, no port."""
        # A browser that names this VM by a loopback name came through a forwarded port; main's
        # ports are forwarded beside it, and its address means nothing there.
        main = host if self.main is None or host in LOOPBACK else self.main
        api = (self.public_api or f"http://{main}:{self.http_port}").rstrip("/")
        return {"api": api, "desktop": f"http://{main}:{self.desktop_port}/vnc.html"}


def main_elsewhere(gcs_address: str, own_address: str) -> str | None:
    """Address of room main as the cluster knows it; None when main is this same machine.

    Ray's control store runs on the head, and the head is room main.
    """
    main = gcs_address.rpartition(":")[0]
    return None if main in (own_address, "127.0.0.1", "localhost") else main


def web_routes(site: Site, platform: Platform) -> APIRouter:
    """Routes of the page. They need no key: the page holds no secret, and asks for the user's."""
    router = APIRouter(include_in_schema=False)

    @router.get("/config.json")
    async def config(request: Request) -> Response:
        """Return where the API and the desktop are, as the browser of this page reaches them."""
        addresses = platform.addresses(requested_host(request))
        return JSONResponse(addresses, headers={**HEADERS, "cache-control": "no-store"})

    @router.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def page(request: Request, path: str) -> Response:
        """Return a file of the page, and its entry for every path that the page itself routes."""
        api = platform.addresses(requested_host(request))["api"]
        response = await site.respond(path, request.scope) if site.built else not_built()
        response.headers.update({**HEADERS, "content-security-policy": content_policy(api)})
        return response

    return router


def requested_host(request: Request) -> str:
    """The name by which the browser reached this room; raises BadRequest when it is no name."""
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else re.sub(r":\d*$", "", host)
    if not HOST.fullmatch(name):
        raise BadRequest("The Host header names no host.")
    return name


def content_policy(api: str) -> str:
    """The page's own files, calls and sockets to the API, pictures it was given as blobs."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(api))
    # To a policy, http: does not include ws:, and the live view of a session is a WebSocket.
    socket = origin.replace("http", "ws", 1)
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "img-src 'self' blob:",
            f"connect-src 'self' {origin} {socket}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def not_built() -> Response:
    """A page with status 503 that says how to build the real one. Clients may retry after 10 s."""
    headers = {"retry-after": "10", "cache-control": "no-store"}
    return HTMLResponse(NOT_BUILT_PAGE, status_code=503, headers=headers)
