"""`create_app`: the FastAPI application around one room's routes."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autobot import __version__
from autobot.keys import KeyRing
from autobot.web import problems, request_id
from autobot.web.access import Access
from autobot.web.documents import with_others_errors
from autobot.web.head import without_body

Observe = Callable[[str, int, float], None]
"""Called once a request: path template, status, seconds to the first byte of the answer."""


class RoomMiddleware:
    """Full paths under every prefix, headers of origin, HEAD, and one metric a request.

    Serve puts an application's prefix into ``root_path``; the room's own port has none. Clearing it
    lets one set of routes, written as a client sees them, serve both.
    """

    def __init__(self, app: ASGIApp, headers: dict[str, str], observe: Observe) -> None:
        self.app = app
        self.headers = headers
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope["root_path"] = ""
        name = request_id.begin(scope)
        structlog.contextvars.bind_contextvars(request_id=name)
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer[request_id.HEADER] = name
                for header, value in self.headers.items():
                    answer.setdefault(header, value)
                route = getattr(scope.get("route"), "path", "unmatched")
                self.observe(route, message["status"], time.perf_counter() - started)
            await send(message)

        if scope["method"] == "HEAD":
            await without_body(self.app, scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


def create_app(
    room: str,
    routers: Sequence[APIRouter],
    keys: KeyRing,
    *,
    headers: dict[str, str] | None = None,
    max_body_bytes: int = 32 << 20,
    observe: Observe = lambda route, status, seconds: None,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """Return the app of ``room``; its routes carry full paths and their own `require`.

    A route without one still needs a key, of any scope, unless `autobot.web.public` names its path.
    ``middleware`` comes after the check of keys and the body limit and before the routes.
    """
    options: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    access = Middleware(Access, room=room, keys=keys, max_body_bytes=max_body_bytes)
    options["middleware"] = [access, *middleware]
    app = FastAPI(title=f"AutoBot {room}", version=__version__, lifespan=lifespan, **options)
    app.state.keys = keys
    described = app.openapi
    app.openapi = lambda: with_others_errors(described())
    problems.install(app)
    for router in routers:
        app.include_router(router)
    # Keys travel in a header, never in a cookie: any page may ask, none can act without a key.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["*"],
        max_age=600,
    )
    app.add_middleware(
        RoomMiddleware,
        headers={"x-autobot-room": room, **(headers or {})},
        observe=observe,
    )
    return app
