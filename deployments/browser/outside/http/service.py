"""`http.get` and `http.request`: one request under the room's egress policy.

Every connection, that of each redirect too, is opened by `Transport`, which resolves, checks and
pins. Redirects are followed here: what another site is sent is ours to decide.
"""

import asyncio
import base64
import json
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import httpcore
import httpx

from autobot import __version__
from autobot.concurrency import ConcurrencyLimiter
from autobot.contracts.tools import ToolCall
from autobot.errors import AutoBotError, Invalid, Timeout, TooLarge
from autobot.tools.tool import MOST_BYTES
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import target_of
from deployments.browser.outside.errors import RequestFailed, RequestLost, RequestRefused
from deployments.browser.outside.http.answers import answer_of, failure_of
from deployments.browser.outside.http.schemas import LONGEST_S, SAFE, Answer, Get, Request
from deployments.browser.outside.http.transport import Transport
from deployments.browser.pages.api import domains_of_key

MOST_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TRAVELLING = frozenset({"accept", "accept-language", "user-agent"})
"""Headers that another site is sent too: the others may be meant for the first alone."""
AT_ONCE, EACH = 32, 16
BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)
UNSENT = (httpcore.ConnectError, httpcore.ConnectTimeout)
"""No connection was made: the request did not leave this machine."""
"""What a connection may raise once it is open."""
UNZIPPED = 15 + 32
"""Of zlib: gzip and deflate, whichever it is."""


@dataclass(frozen=True)
class Sent:
    """One request as it leaves. ``body`` has a content type in ``headers``."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    body: bytes | None = None

    def redirected(self, status: int, location: str) -> "Sent":
        """The request that a redirect asks for. Raises `RequestRefused` for one that is refused."""
        try:
            url = self.url.join(location)
        except (httpx.InvalidURL, ValueError) as error:
            raise RequestRefused(f"{origin(self.url)} redirects to what is no URL.") from error
        headers, method, body = dict(self.headers), self.method, self.body
        if status == 303 or (status in (301, 302) and method == "POST"):
            method, body = ("HEAD" if method == "HEAD" else "GET"), None
            headers = {n: v for n, v in headers.items() if not n.startswith("content-")}
            headers.pop("idempotency-key", None)
        if origin(url) != origin(self.url):
            if body is not None:
                raise RequestRefused(
                    f"{origin(self.url)} redirects the body to {origin(url)}: not sent."
                )
            headers = {name: value for name, value in headers.items() if name in TRAVELLING}
        return Sent(method, url, headers, body)


def origin(url: httpx.URL) -> str:
    """Scheme, host and port: what may be told of a URL, whose rest may be secret."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}"


class OutsideHttp:
    """Makes requests for steps."""

    def __init__(self, connector: Connector, trusted: ssl.SSLContext | None = None) -> None:
        """``trusted`` has the authorities that count: certifi's and the system's if not given."""
        self._connector = connector
        self._trusted = trusted or _trusted()
        self._limiter = ConcurrencyLimiter(
            AT_ONCE, 256, limit_each=EACH, waiting_each=128, what="requests to the outside"
        )

    async def get(self, given: Get, call: ToolCall) -> Answer:
        """See `request`."""
        return await self.request(Request.model_validate(given.model_dump()), call)

    async def request(self, given: Request, call: ToolCall) -> Answer:
        """Make the request. Raises `BlockedAddress`, `RequestFailed`, `RequestLost`,
        `RequestRefused`, `Invalid`, `TooLarge` for an answer that is, `Timeout`, and `Busy`.
        """
        target_of(given.url)  # for its words about what is no URL
        sent = self._first(given, call)
        try:
            async with asyncio.timeout(given.timeout_s), self._limiter.slot(call.caller.id):
                answer = await self._exchange(sent, given.follow_redirects, call)
        except TimeoutError:
            raise Timeout(
                f"{origin(sent.url)} did not answer within {given.timeout_s:g} s."
            ) from None
        if given.fail_on_status and answer.status >= 400:
            raise failure_of(sent.method, origin(sent.url), answer)
        return answer

    def _first(self, given: Request, call: ToolCall) -> Sent:
        headers = {"accept": "*/*", "user-agent": f"AutoBot/{__version__}"}
        body = None
        try:
            url = httpx.URL(given.url)
            if given.query:
                url = url.copy_merge_params(given.query)
            if given.bodies:
                headers["content-type"], body = _body_of(given)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise Invalid(f"The request cannot be written: {error}") from error
        if call.idempotency_key and given.method not in SAFE:
            headers["idempotency-key"] = call.idempotency_key
        headers |= {name.lower(): value for name, value in given.headers.items()}
        return Sent(given.method, url, headers, body)

    async def _exchange(self, sent: Sent, follow: bool, call: ToolCall) -> Answer:
        connector = self._connector.within(domains_of_key(call.caller))
        async with httpx.AsyncClient(
            transport=Transport(connector, self._trusted), trust_env=False, timeout=LONGEST_S
        ) as client:
            for _ in range(MOST_REDIRECTS + 1):
                try:
                    answer, location = await _ask(client, sent, follow)
                except (*BROKEN, httpcore.UnsupportedProtocol, ValueError) as error:
                    raise _failure(sent, error) from error
                if location is None:
                    return answer
                sent = sent.redirected(answer.status, location)
        raise RequestRefused(f"There are more than {MOST_REDIRECTS} redirects.")


def _trusted() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()  # an owner's own authority is among the system's
    return context


def _body_of(given: Request) -> tuple[str, bytes]:
    """Return the content type and the body of a request that has one. Raises `ValueError`."""
    if given.file is not None:
        return given.file.media_type, base64.b64decode(given.file.content, validate=True)
    if given.text is not None:
        return "text/plain; charset=utf-8", given.text.encode()
    if given.form is not None:
        encoded = str(httpx.QueryParams(given.form))
        return "application/x-www-form-urlencoded", encoded.encode()
    written = json.dumps(given.json_, ensure_ascii=False, allow_nan=False)
    return "application/json", written.encode()


async def _ask(client: httpx.AsyncClient, sent: Sent, follow: bool) -> tuple[Answer, str | None]:
    """Return the answer and, to ``follow``, where it redirects to."""
    headers = {**sent.headers, "accept-encoding": "gzip"}
    request = client.build_request(sent.method, sent.url, headers=headers, content=sent.body)
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        follow = follow and response.status_code in REDIRECTS
        location = response.headers.get("location") if follow else None
        body = b"" if location else await _body(response)
    finally:
        await response.aclose()
    return await asyncio.to_thread(answer_of, response, body), location


async def _body(response: httpx.Response) -> bytes:
    """The body, unzipped; raises `TooLarge` before it holds more than `MOST_BYTES`."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise RequestFailed(f"The answer is encoded as {encoding[:40]!r}, which was not asked for.")
    unzip = None if encoding == "identity" else zlib.decompressobj(UNZIPPED)
    body = bytearray()
    async for part in response.aiter_raw():
        try:
            body += unzip.decompress(part, MOST_BYTES + 1 - len(body)) if unzip else part
        except zlib.error as error:
            raise RequestFailed("The answer is not encoded as it says.") from error
        if len(body) > MOST_BYTES:
            raise TooLarge(f"The answer has more than {MOST_BYTES >> 20} MiB.")
    if unzip and not unzip.eof and body:
        raise httpcore.RemoteProtocolError("the answer broke off")
    return bytes(body)


def _failure(sent: Sent, error: Exception) -> AutoBotError:
    """Say why there is no answer."""
    if isinstance(error, BROKEN):
        reason = (str(error) or type(error).__name__)[:200]
        if sent.method in SAFE or isinstance(error, UNSENT):
            return RequestFailed(f"{origin(sent.url)} did not answer: {reason}")
        return RequestLost(f"The answer of {origin(sent.url)} was lost: {reason}")
    return RequestRefused(f"{origin(sent.url)} is no address of http or https.")
