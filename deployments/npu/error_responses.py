"""What the room's routes may refuse, for the OpenAPI document; and where an answer was made."""

from typing import Any

OPENAI = KSERVE = "application/json"
PROBLEM = "application/problem+json"
ERRORS: dict[int, str] = {
    401: "No API key, or an unknown one",
    403: "The key lacks the scope `npu`",
    413: "More than one request may carry",
    422: "A value is not acceptable",
    429: "The queue is full",
    503: "The engine is not available",
}


def error_responses(
    media_type: str, more: dict[int, str] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Return `ERRORS` and ``more`` as FastAPI's ``responses``."""
    return {
        status: {"description": text, "content": {media_type: {}}}
        for status, text in sorted({**ERRORS, **(more or {})}.items())
    }


def origin_headers(model: str, device: str, engine: str) -> dict[str, str]:
    """The headers that say where an answer was made; room and node are added further out.

    An owner's model may be called anything that a file can be, and a header may not.
    """
    return {
        "x-autobot-model": model.encode("ascii", "backslashreplace").decode(),
        "x-autobot-device": device or "none",
        "x-autobot-engine": engine,
    }
