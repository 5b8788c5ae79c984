"""The platform's own HTTP client: what the CLI and the demonstration speak through."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from autobot.errors import AutoBotError, SetupError
from autobot.settings import Settings


class ApiError(AutoBotError):
    """The platform refused the request."""


def find_key(settings: Settings) -> str:
    """AUTOBOT_API_KEY, else the key set-up left for this machine's CLI."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    file = settings.secrets_dir / "cli_key"
    if file.exists():
        return file.read_text().strip()
    raise SetupError("No API key for this platform.", "Set AUTOBOT_API_KEY, or run `autobot up`.")


@dataclass
class Answer:
    """What came back, and where it ran: the ``x-autobot-*`` headers without their prefix."""

    body: Any
    ran: dict[str, str] = field(default_factory=dict[str, str])


def where_it_ran(headers: httpx.Headers) -> dict[str, str]:
    """Return the ``x-autobot-*`` headers without that prefix, such as ``room`` and ``device``."""
    prefix = "x-autobot-"
    return {
        name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)
    }


class Client:
    """One connection pool to one platform; use it as an async context manager."""

    def __init__(self, url: str, key: str | None, *, timeout_s: float = 120) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=timeout_s, trust_env=False
        )

    @classmethod
    def of(cls, settings: Settings) -> "Client":
        """Return a client of the platform at AUTOBOT_URL, else of this machine's.

        Raises SetupError when there is no API key to send; see `find_key`.
        """
        url = os.environ.get("AUTOBOT_URL") or settings.api_url
        return cls(url, find_key(settings))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        """Send; return the decoded body. Raises ApiError with the platform's own words."""
        with self._reachable():
            response = await self._http.request(method, path, **options)
        raise_for_error(response.status_code, response.content)
        kind = response.headers.get("content-type", "")
        is_json = kind.startswith("application/json") and response.content  # a 204 has none
        body = response.json() if is_json else response.content
        return Answer(body, where_it_ran(response.headers))

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise SetupError(
                f"The platform does not answer at {self._http.base_url}: {why}",
                "Start it with `autobot up`, or see `autobot doctor`.",
            ) from error

    async def chat(self, messages: list[dict[str, str]], **options: Any) -> AsyncIterator[Answer]:
        """Yield each streamed chunk's decoded JSON as it arrives."""
        body = {"model": "default", "messages": messages, "stream": True, **options}
        with self._reachable():
            async for answer in self._streamed("/v1/chat/completions", body):
                yield answer

    async def _streamed(self, path: str, body: dict[str, Any]) -> AsyncIterator[Answer]:
        async with self._http.stream("POST", path, json=body) as response:
            if response.status_code >= 400:
                raise_for_error(response.status_code, await response.aread())
            ran = where_it_ran(response.headers)
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    chunk = json.loads(line[6:])
                    if "error" in chunk:
                        raise ApiError(chunk["error"]["message"])
                    yield Answer(chunk, ran)


def raise_for_error(status: int, content: bytes) -> None:
    """Raise ApiError for a ``status`` of 400 and more, with what the body says of the cause.

    That is the ``detail`` of a problem, or the message of an ``error``. Of a body that has neither
    it is the first 300 bytes, and of none what HTTP calls the status.
    """
    if status < 400:
        return
    reason = _reason(content) or content[:300].decode(errors="replace").strip()
    raise ApiError(f"{status}: {reason or httpx.codes.get_reason_phrase(status) or 'no reason'}")


def _reason(content: bytes) -> Any:
    try:
        body = json.loads(content)
        error = body.get("error")
        return body.get("detail") or (error["message"] if isinstance(error, dict) else error)
    except (ValueError, AttributeError, KeyError):
        return None
