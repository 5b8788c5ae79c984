"""A response as a step sees it, or the error that it is."""

import email.utils
import json
import time
from typing import Any, NoReturn

import httpx

from autobot.errors import AutoBotError
from autobot.tools.tool import File
from deployments.browser.outside.errors import RequestFailed, RequestRefused, for_the_moment
from deployments.browser.outside.http.schemas import Answer

MOST_DEPTH = 32
"""Of JSON: what is nested deeper is given as text."""
TOLD = 300
"""Letters of an answer in an error."""
TEXTS = ("text/", "application/xml", "application/javascript", "application/x-www-form-urlencoded")


def answer_of(response: httpx.Response, body: bytes) -> Answer:
    """Read ``body`` as the response's headers say: JSON, text, or bytes."""
    headers = {name: response.headers[name] for name in response.headers}
    # What was unzipped has another length, and is not zipped.
    headers = {n: v for n, v in headers.items() if n not in ("content-encoding", "content-length")}
    answer = Answer(
        url=str(response.url.copy_with(username=None, password=None)),
        status=response.status_code,
        headers=headers,
        json_=None,
    )
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    text = _text(response, media_type, body)
    if text is None:
        kind = media_type or "application/octet-stream"
        return answer.model_copy(update={"file": File.of(kind, body)})
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return answer.model_copy(update={"json_": _json(text)})
        except (ValueError, RecursionError):
            pass
    return answer.model_copy(update={"text": text})


def _text(response: httpx.Response, media_type: str, body: bytes) -> str | None:
    if b"\0" in body:
        return None
    named = media_type.startswith(TEXTS) or media_type.endswith(("json", "+xml"))
    try:
        return body.decode(response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return body.decode("utf-8", errors="replace") if named else None


def _json(text: str) -> Any:
    """Raises `ValueError` for what is none, or is deeper than what carries a result can be."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    value = json.loads(text, parse_constant=refuse)
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return value
    raise ValueError("too deep")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def failure_of(method: str, origin: str, answer: Answer) -> AutoBotError:
    """The error of a status of 400 or more, with the beginning of what the other side says."""
    said = answer.text
    if answer.json_ is not None:
        said = json.dumps(answer.json_, ensure_ascii=False)
    detail = f"{method} {origin} was answered {answer.status}"
    detail += f": {said[:TOLD]}" if said else "."
    if for_the_moment(answer.status):
        return RequestFailed(detail, _seconds(answer.headers.get("retry-after", "")))
    return RequestRefused(detail)


def _seconds(retry_after: str) -> float | None:
    """Seconds until then: both forms of the header. None for neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0.0, at.timestamp() - time.time())
