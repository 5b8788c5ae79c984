"""`POST /api/browser/<action>` on a page of its own, and the routers beside it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, FastAPI, Request, Response

from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import unless_disconnected
from deployments.browser.actions import Action, Evaluate
from deployments.browser.egress.policy import Domains, listed_domain
from deployments.browser.engine import Browser, Rendered
from deployments.browser.pages.schemas import REQUESTS, PageRequest

Owner = Annotated[KeyRecord, Depends(require("browser"))]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

PROBLEMS: dict[int, str] = {
    401: "No API key, or an unknown one",
    403: "The key lacks the scope, or the page's address is blocked",
    404: "No such session, tab or file, or it is another key's",
    410: "The session has ended",
    422: "A value is out of bounds, or the element cannot be found or used",
    423: "A person is driving this session",
    429: "The queue is full",
    502: "The page does not load",
    503: "The browser crashed or is starting",
    504: "The page was not ready in time",
}


def responses(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """Return a route's ``responses`` for OpenAPI: these kinds of answer, and every problem."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    contents = {kind: {} if kind == "application/json" else binary for kind in media_types}
    return {200: {"content": contents}, **problems()}


def problems() -> dict[int | str, dict[str, Any]]:
    """Return every problem as a route's ``responses``, for one whose answer has a model."""
    return {
        status: {"description": text, "content": {"application/problem+json": {}}}
        for status, text in PROBLEMS.items()
    }


def answer(rendered: Rendered) -> Response:
    """Return it as an HTTP answer whose bytes no browser may run, sniff or cache.

    Engine, device and the page's own HTTP status are in its ``x-autobot-*`` headers.
    """
    headers = {
        "cache-control": "no-store",
        # A page chose these bytes: no client may take them for anything but what they are.
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }
    if rendered.engine:
        headers |= {"x-autobot-device": rendered.device, "x-autobot-engine": rendered.engine}
    if rendered.page_status is not None:
        headers["x-autobot-page-status"] = str(rendered.page_status)
    if rendered.filename is not None:
        name = quote(rendered.filename)
        headers["content-disposition"] = f"attachment; filename*=UTF-8''{name}"
    return Response(rendered.body, media_type=rendered.media_type, headers=headers)


def domains_of_key(key: KeyRecord) -> Domains:
    """The lists of domains that everything of this API key keeps to."""
    allow, deny = (
        tuple(map(listed_domain, given)) for given in (key.allow_domains, key.deny_domains)
    )
    return Domains(allow, deny, "API key")


def scope_of(kind: type[Action]) -> list[Any]:
    """Script of the caller's own needs a scope of its own."""
    return [Depends(require("browser:evaluate"))] if kind is Evaluate else []


def browser_routes(browser: Browser, *others: APIRouter, running: Lifespan) -> APIRouter:
    """Return the one-shot routes around ``browser`` and the ``others`` beside them."""
    router = APIRouter(prefix="/api/browser", tags=["browser"], lifespan=running)
    for other in others:
        router.include_router(other)
    for kind, request in REQUESTS.items():
        router.add_api_route(
            f"/{kind.name}",
            _once(browser, kind, request),
            methods=["POST"],
            name=f"browser_{kind.name}",
            description=kind.__doc__,
            responses=responses(*kind.media_types),
            response_class=Response,
            dependencies=scope_of(kind),
        )
    return router


def _once(
    browser: Browser, kind: type[Action], model: type[PageRequest]
) -> Callable[..., Awaitable[Response]]:
    async def once(request: Request, key: Owner, body: PageRequest) -> Response:
        work = browser.once(body.page(key.id, domains_of_key(key)), body.action(kind))
        return answer(await unless_disconnected(request, work))

    # FastAPI reads the model from the annotation; this one is made, not written.
    once.__annotations__["body"] = Annotated[model, Body()]
    return once
