"""The Chrome DevTools Protocol: the commands a client may give, and what becomes of its paths."""

import functools
import json
import os
import stat
from pathlib import Path

from deployments.browser.chromium.files import plain
from deployments.browser.protocols.filter import (
    NEVER,
    NO_PATHS,
    Message,
    ProtocolFilter,
    Refusals,
    check_headers,
    check_mentioned,
    check_opened,
    scheme_of,
)
from deployments.browser.protocols.shapes import Refused, Shapes

LIST = Path(__file__).with_name("cdp.json")
"""Every command somebody has looked at; tests/unit/browser/protocols/definitions.py writes it."""
ENVELOPE = ("id", "sessionId", "method", "params")
OPENS = {"Page.navigate", "Target.createTarget", "Fetch.continueRequest"}
NAVIGATES = {"Page.navigate"}
URLS = {"url", "urls", "documentURL", "baseURL", "scopeURL", "requestURL", "sourceURL", "referrer"}
ORIGINS = {"origin", "embeddedOrigin", "securityOrigin", "issuerOrigin"}
ATTACHED = '{"method":"Target.attachedToTarget"'
"""How Chromium begins to tell of a session. Reading all it says would take longer than it may."""
MOST_DRAGGED = 64 << 10
TO_LEAVE = {"Runtime.runIfWaitingForDebugger", "Target.detachFromTarget"}
"""What clients say to a target they were attached to and do not want."""
DOWNLOADS = {"Browser.setDownloadBehavior", "Page.setDownloadBehavior"}
STRUCK = {
    # Without a proxy of its own a context has the browser's, which is ours.
    "Target.createBrowserContext": (
        "proxyServer",
        "proxyBypassList",
        "originsWithUniversalNetworkAccess",
    )
}


@functools.cache
def shapes() -> Shapes:
    """Return the allow list of CDP; its file is read at the first call."""
    return Shapes.read(LIST)


class CdpFilter(ProtocolFilter):
    """Judges CDP. ``folder`` is the only place of this machine a client may name."""

    def __init__(self, refusals: Refusals, folder: Path) -> None:
        super().__init__(refusals)
        self._folder = folder
        self._own: set[str] = set()
        """Sessions with pages of Chromium's own, whose script commands the browser itself."""

    def check(self, message: Message) -> tuple[Message, bool]:
        """See `ProtocolFilter`. A page of Chromium's own is given no command but `TO_LEAVE`."""
        method = message["method"]
        if message.get("sessionId") in self._own and method not in TO_LEAVE:
            raise Refused("Pages of the browser's own are not available here.")
        passed = {name: message[name] for name in ENVELOPE if name in message}
        passed["params"] = corrected(method, message["params"], self._folder)
        return passed, method in NAVIGATES

    def explain(self, text: str) -> str:
        """See `ProtocolFilter`. It also learns which sessions belong to pages of Chromium's own."""
        if text.startswith(ATTACHED):
            attached = json.loads(text)["params"]
            if is_own(attached["targetInfo"]):
                self._own.add(attached["sessionId"])
        return super().explain(text)

    def refusal(self, message: Message, reason: str) -> str:
        named = {name: message[name] for name in ("id", "sessionId") if name in message}
        return json.dumps({**named, "error": {"code": -32000, "message": reason}})

    def add_reason(self, message: Message, reason: str) -> bool:
        result = message.get("result")
        if not isinstance(result, dict) or not result.get("errorText"):
            return False
        result["errorText"] = f"{result['errorText']} ({reason})"
        return True


def is_own(target: Message) -> bool:
    """Whether a target is a part of Chromium's own interface, as far as its event says."""
    scheme = scheme_of(target["url"])
    return target["type"] == "browser_ui" or scheme.startswith("chrome") or scheme in NEVER


def corrected(method: str, arguments: Message, folder: Path) -> Message:
    """Return the arguments to pass on of one command. Raises `Refused`."""

    def check(name: str, text: str) -> None:
        if name in URLS:
            check_mentioned(text)
        elif name in ORIGINS:
            check_opened(text)
        elif name == "files":
            check_own(text, folder)

    params = shapes().fit(method, arguments, check)
    check_headers(params.get("headers"))
    if method in OPENS:
        check_opened(params.get("url", ""))
    if method in DOWNLOADS:
        params["downloadPath"] = str(folder)
    if method == "Input.dispatchDragEvent":
        _check_dragged(params)
    for name in STRUCK.get(method, ()):
        params.pop(name, None)
    return params


def _check_dragged(params: Message) -> None:
    """A list of addresses that is let go over a page may open one of them."""
    for item in params.get("data", {}).get("items", []):
        if len(item.get("data", "")) > MOST_DRAGGED:
            raise Refused("This is too much to drag.")
        for line in item.get("data", "").splitlines():
            check_mentioned(line)


def check_own(path: str, folder: Path) -> None:
    """Raises `Refused` unless ``path`` is a plain file directly in ``folder``, which is real."""
    inside, _, name = path.rpartition("/")
    try:
        if inside == str(folder) and plain(name) and stat.S_ISREG(os.lstat(path).st_mode):
            return
    except (OSError, ValueError):
        pass
    raise Refused(NO_PATHS)
