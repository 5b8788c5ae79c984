"""What clients of the protocol endpoints may say, decided message by message; no sockets.

A client drives a Chromium of its own, but does not leave it: it may not name a proxy, read or
write files of this machine, open pages that are not http(s), or hand the protocol itself to a page.
Methods and the shapes of their arguments are listed as allowed, in `cdp` and
`playwright`: what a newer Chromium or Playwright adds is refused until somebody has looked at
it, and what a list does not name is not passed on.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from deployments.browser.protocols.shapes import Refused

Message = dict[str, Any]
Refusals = Callable[[], tuple[int, str]]

OPENED = {"http", "https", "about", ""}
"""Schemes a page may be opened with; "" is an address relative to an http(s) one."""
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
NEVER = {"file", "filesystem", "devtools", "view-source"}
MAX_PENDING = 1000
MOST_BRACKETS = 1 << 19
"""More objects and lists in one message are not read: nothing else runs while they are."""
LONG = 32 << 10
"""A longer message is judged in a thread. An answer to a navigation is never as long."""
NUMBER = re.compile(r'\{\s{0,9}"id"\s{0,9}:\s{0,9}(\d{1,15}\b|"[\w@-]{1,80}")')
BLANK = dict.fromkeys(range(ord(" ") + 1))
NO_PATHS = "Files are set by content here, not by a path on the browser's VM."
HOSTS = {"host", ":authority"}
NO_HOST = "A request's `Host` is that of its address and cannot be set here: ask that address."


class Verdict(NamedTuple):
    """What to do with a client's message: pass ``forward`` on, or answer ``reply`` at once."""

    forward: str | None = None
    reply: str | None = None


def scheme_of(url: str) -> str:
    """The scheme as browsers see it; "" for a relative address."""
    scheme, colon, _ = url.translate(BLANK).partition(":")
    named = colon and SCHEME.fullmatch(scheme)
    return scheme.lower() if named else ""


def check_opened(url: Any) -> None:
    """Raises `Refused` for an address that is not http(s), about: or relative."""
    if isinstance(url, str) and scheme_of(url) not in OPENED:
        raise Refused(f"The browser visits http and https only, not `{scheme_of(url)[:40]}:`.")


def check_mentioned(url: Any) -> None:
    """Raises `Refused` for an address of this machine."""
    if isinstance(url, str):
        scheme = scheme_of(url)
        if scheme in NEVER or scheme.startswith("chrome"):
            raise Refused(f"`{scheme}:` is blocked.")


def check_headers(headers: Any) -> None:
    """Raises `Refused` where a request would name another host than the one it is sent to.

    The proxy sees to that in plain HTTP; inside TLS it cannot look. ``headers``: an object, or a
    list of objects with a ``name``; anything else is the shapes' to refuse.
    """
    names = headers or ()
    if isinstance(headers, list):
        names = [entry.get("name") for entry in headers if isinstance(entry, dict)]
    for name in names:
        if "".join(c for c in str(name) if c > " ").lower() in HOSTS:
            raise Refused(NO_HOST)


class ProtocolFilter:
    """Reads both directions of one connection.

    ``refusals`` says how often its proxy has refused an address, and why the last time.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._pending: dict[Any, int] = {}

    def judge(self, text: str) -> Verdict:
        """Decide about a client's message."""
        try:
            if text.count("[") + text.count("{") > MOST_BRACKETS:
                number = NUMBER.match(text)
                named = {"id": json.loads(number[1])} if number else {}
                return Verdict(reply=self.refusal(named, "This command is too large."))
            message = json.loads(text)
            method = message["method"]
            params = message.setdefault("params", {})
            if not isinstance(method, str) or not isinstance(params, dict):
                raise TypeError
            # Not every number is one to others: NaN and 1e999 are no JSON.
            if not isinstance(message.get("id", 0), int | str):
                raise TypeError
            if not isinstance(message.get("sessionId", ""), str):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return Verdict(reply=self.refusal({}, "This is no command."))
        try:
            message, navigates = self.check(message)
        except (Refused, RecursionError) as error:
            return Verdict(reply=self.refusal(message, str(error)))
        if navigates and len(self._pending) < MAX_PENDING:
            self._pending[self._key(message)] = self._refusals()[0]
        return Verdict(forward=json.dumps(message))

    def explain(self, text: str) -> str:
        """Return the browser's message, with the reason of a navigation the proxy refused."""
        if not self._pending or len(text) > LONG:
            return text
        message = json.loads(text)
        before = self._pending.pop(self._key(message), None) if "id" in message else None
        count, reason = self._refusals()
        if before is None or count == before or not self.add_reason(message, reason):
            return text
        return json.dumps(message)

    def _key(self, message: Message) -> Any:
        return message.get("id"), message.get("sessionId")

    def check(self, message: Message) -> tuple[Message, bool]:
        """Return what to pass on of ``message``, and whether it navigates. Raises `Refused`."""
        raise NotImplementedError

    def refusal(self, message: Message, reason: str) -> str:
        """Return the text of an error that answers ``message``, which may have no id."""
        raise NotImplementedError

    def add_reason(self, message: Message, reason: str) -> bool:
        """Write ``reason`` into the answer of a navigation; False when that has not failed."""
        raise NotImplementedError
