"""One error, three shapes: the API that was called decides how it is told.

An application's manifest says in which: as OpenAI, Ollama or KServe do, or, as everything else, in
``application/problem+json`` (RFC 9457) with a stable ``type``.
"""

import math
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from autobot.errors import AutoBotError
from autobot.manifests import rooms
from autobot.web.bodies import Refused
from autobot.web.mistakes import first_mistake

log = structlog.get_logger()

CLIENT_CLOSED_REQUEST = 499
"""What nginx logs for a caller that went away: nobody reads it but the metrics."""

OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


def problem(status: int, slug: str, detail: str, path: str) -> dict[str, Any]:
    """Return the body of ``application/problem+json``. ``slug`` ends its ``type``, a stable URN.

    Raises ValueError for a status that HTTP has no phrase for.
    """
    return {
        "type": f"urn:autobot:problem:{slug}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": path,
    }


def openai_error(status: int, slug: str, detail: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object; its own codes use underscores."""
    fallback = "invalid_request_error" if status < 500 else "server_error"
    kind = OPENAI_TYPES.get(status, fallback)
    code = "invalid_api_key" if status == 401 else slug.replace("-", "_")
    return {"error": {"message": detail, "type": kind, "param": param, "code": code}}


def error_response(
    path: str,
    status: int,
    slug: str,
    detail: str,
    *,
    retry_after: float | None = None,
    param: str | None = None,
) -> JSONResponse:
    """Return the answer in the dialect of the application at ``path``.

    ``slug`` names the cause, as `AutoBotError.type` does; ``retry_after`` is in seconds, rounded
    up. Dialects other than ``problem`` say 400 where we say 422.
    """
    headers: dict[str, str] = {}
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    dialect = rooms().dialect(path)
    if status == 422 and dialect != "problem":
        status = 400  # others' APIs have no other word for it, and their clients no other class
    if dialect == "openai":
        return JSONResponse(openai_error(status, slug, detail, param), status, headers)
    if dialect in ("ollama", "kserve"):  # they say it alike
        return JSONResponse({"error": detail}, status, headers)
    body = problem(status, slug, detail, path)
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def describe(error: AutoBotError, path: str) -> JSONResponse:
    """Return the answer to a request at ``path`` that failed with ``error``; nothing is logged."""
    return error_response(
        path,
        error.status,
        error.type,
        error.detail,
        retry_after=error.retry_after,
        param=error.param,
    )


def told(error: AutoBotError, path: str) -> JSONResponse:
    """Describe it, and log what is not the caller's fault."""
    if error.status >= 500:
        log.warning("request.failed", path=path, reason=error.detail)
    return describe(error, path)


def install(app: FastAPI) -> None:
    """Make ``app`` answer every failure in its caller's shape; nothing leaks a traceback."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AutoBotError)
        return told(error, request.url.path)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        where, what = first_mistake(error.errors())
        detail = f"{where}: {what}" if where else what
        return error_response(request.url.path, 422, "invalid", detail, param=where or None)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if isinstance(error, Refused):
            return told(error.error, request.url.path)
        slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        answer = error_response(request.url.path, error.status_code, slug, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    async def hung_up(request: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("request.crashed", path=request.url.path, exc_info=error)
        return describe(AutoBotError(), request.url.path)

    app.add_exception_handler(AutoBotError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ClientDisconnect, hung_up)
    app.add_exception_handler(Exception, unknown)
