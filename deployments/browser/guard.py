"""What clients of the protocol endpoints may say, decided message by message; no sockets.

A client drives a Chromium of its own, but not out of its cage: it may not name a proxy, read or
write files of this machine, open pages that are not http(s), or hand the protocol itself to a page.
Kinds of commands are listed as allowed, so that what a newer Chromium or Playwright adds is refused
until somebody has looked at it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Message = dict[str, Any]
Refusals = Callable[[], tuple[int, str]]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPENED = {"http", "https", "about", ""}
"""Schemes a page may be opened with; "" is an address relative to an http(s) one."""
NEVER = {"file", "filesystem", "devtools", "view-source"}
MAX_PENDING = 1000

CDP_DOMAINS = _words("""
    Accessibility Animation Audits Browser CSS CacheStorage Console DOM DOMDebugger
    DOMSnapshot DOMStorage Debugger DeviceOrientation Emulation EventBreakpoints Fetch
    HeapProfiler IO IndexedDB Input Inspector LayerTree Log Media Memory Network Overlay Page
    Performance PerformanceTimeline Preload Profiler Runtime Schema Security ServiceWorker
    Storage SystemInfo Target Tracing WebAudio WebAuthn
""")
CDP_REFUSED = {
    "Browser.crash",
    "Browser.crashGpuProcess",
    "Browser.executeBrowserCommand",
    "Browser.setContentsSize",
    "Target.exposeDevToolsProtocol",
    "Target.openDevTools",
    "Target.sendMessageToTarget",
    "Target.setRemoteLocations",
    "Network.loadNetworkResource",
    "Page.addCompilationCache",
    "SystemInfo.getInfo",
}
CDP_OPENS = {"Page.navigate", "Target.createTarget", "Fetch.continueRequest"}
CDP_NAVIGATES = {"Page.navigate"}

PLAYWRIGHT_TYPES = _words("""
    Root Playwright Browser BrowserContext Page Frame JSHandle ElementHandle Request Response
    Route WebSocket WebSocketRoute APIRequestContext Artifact Stream WritableStream Worker
    Dialog Tracing CDPSession BindingCall Disposable Debugger EventTarget
""")
PLAYWRIGHT_REFUSED = {
    "Artifact.saveAs",
    "Browser.killForTests",
    "Browser.newContextForReuse",
    "Browser.startServer",
    "Browser.stopServer",
    "BrowserContext.pause",
    "BrowserContext.showRecorder",
    "Playwright.newRequest",
    "Tracing.harStart",
}
PLAYWRIGHT_OPENS = {"Frame.goto", "Route.continue", "Route.redirectNavigationRequest"}
PLAYWRIGHT_NAVIGATES = {"Frame.goto", "Page.reload", "Page.goBack", "Page.goForward"}
CONTEXT_FORBIDDEN = ("proxy", "clientCertificates", "recordVideo", "tracesDir")
LOCAL_FILES = ("localPaths", "localDirectory")


class Refused(Exception):
    """This command is not available here."""


class Verdict(NamedTuple):
    """What to do with a client's message: pass ``forward`` on, or answer ``reply`` at once."""

    forward: str | None = None
    reply: str | None = None


def scheme_of(url: str) -> str:
    return urlsplit("".join(c for c in url if c > " ")).scheme


def check_opened(url: Any) -> None:
    """Raises `Refused` for an address that is not http(s), about: or relative."""
    if isinstance(url, str) and scheme_of(url) not in OPENED:
        raise Refused(f"The browser visits http and https only, not `{scheme_of(url)[:40]}:`.")


def check_mentioned(url: Any) -> None:
    if isinstance(url, str):
        scheme = scheme_of(url)
        if scheme in NEVER or scheme.startswith("chrome"):
            raise Refused(f"`{scheme}:` is blocked.")


class Guard:
    """Reads both directions of one connection.

    ``refusals`` says how often its proxy has refused an address, and why the last time.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._pending: dict[Any, int] = {}

    def judge(self, text: str) -> Verdict:
        """Decide about a client's message."""
        try:
            message = json.loads(text)
            method = message["method"]
            params = message.setdefault("params", {})
            if not isinstance(method, str) or not isinstance(params, dict):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError):
            return Verdict(reply=self.refusal({}, "This is no command."))
        try:
            navigates = self.check(message)
        except Refused as error:
            return Verdict(reply=self.refusal(message, str(error)))
        if navigates and len(self._pending) < MAX_PENDING:
            self._pending[self._key(message)] = self._refusals()[0]
        return Verdict(forward=json.dumps(message))

    def explain(self, text: str) -> str:
        """Return the browser's message, with the reason of a navigation the proxy refused."""
        if not self._pending:
            return text
        message = json.loads(text)
        before = self._pending.pop(self._key(message), None) if "id" in message else None
        count, reason = self._refusals()
        if before is None or count == before or not self.add_reason(message, reason):
            return text
        return json.dumps(message)

    def _key(self, message: Message) -> Any:
        return message.get("id"), message.get("sessionId")

    def check(self, message: Message) -> bool:
        """Correct ``message`` in place; say whether it navigates. Raises `Refused`."""
        raise NotImplementedError

    def refusal(self, message: Message, reason: str) -> str:
        raise NotImplementedError

    def add_reason(self, message: Message, reason: str) -> bool:
        raise NotImplementedError


class CdpGuard(Guard):
    """The Chrome DevTools Protocol. ``folder`` is the only place of this machine it may name."""

    def __init__(self, refusals: Refusals, folder: Path) -> None:
        super().__init__(refusals)
        self._folder = folder

    def check(self, message: Message) -> bool:
        correct_cdp(message["method"], message["params"], self._folder)
        return message["method"] in CDP_NAVIGATES

    def refusal(self, message: Message, reason: str) -> str:
        named = {name: message[name] for name in ("id", "sessionId") if name in message}
        return json.dumps({**named, "error": {"code": -32000, "message": reason}})

    def add_reason(self, message: Message, reason: str) -> bool:
        result = message.get("result")
        if not isinstance(result, dict) or not result.get("errorText"):
            return False
        result["errorText"] = f"{result['errorText']} ({reason})"
        return True


def correct_cdp(method: str, params: Message, folder: Path) -> None:
    """Check one command of the Chrome DevTools Protocol, and correct ``params`` in place."""
    if method.partition(".")[0] not in CDP_DOMAINS or method in CDP_REFUSED:
        raise Refused(f"{method} is not available here.")
    for name in ("url", "documentURL"):
        check_mentioned(params.get(name))
    if method in CDP_OPENS:
        check_opened(params.get("url", ""))
    if method == "Target.createBrowserContext":
        # Without a proxy of its own a context has the browser's, which is ours.
        params.pop("proxyServer", None)
        params.pop("proxyBypassList", None)
    if method in ("Browser.setDownloadBehavior", "Page.setDownloadBehavior"):
        params["downloadPath"] = str(folder)
    if method == "DOM.setFileInputFiles":
        for name in params.get("files", []):
            if Path(name).parent != folder:
                raise Refused("Files are set by content here, not by a path on the browser's VM.")


class PlaywrightGuard(Guard):
    """Playwright's own protocol. It learns from the server what kind of thing each id is."""

    def __init__(self, refusals: Refusals, folder: Path) -> None:
        super().__init__(refusals)
        self._folder = folder
        self._kinds = {"": "Root"}

    def check(self, message: Message) -> bool:
        kind = self._kinds.get(message.get("guid", ""))
        method, params = f"{kind}.{message['method']}", message["params"]
        if kind not in PLAYWRIGHT_TYPES or method in PLAYWRIGHT_REFUSED:
            raise Refused(f"{method} is not available here.")
        if any(params.get(name) for name in LOCAL_FILES):
            raise Refused("Files are set by content here, not by a path on the browser's VM.")
        check_mentioned(params.get("url"))
        if method in PLAYWRIGHT_OPENS:
            check_opened(params.get("url", ""))
        if method == "Browser.newContext":
            self._context(params)
        if method == "CDPSession.send":
            correct_cdp(str(params.get("method")), params.setdefault("params", {}), self._folder)
        return method in PLAYWRIGHT_NAVIGATES

    def _context(self, params: Message) -> None:
        given = [name for name in CONTEXT_FORBIDDEN if params.get(name)]
        if given:
            raise Refused(f"A context's `{given[0]}` cannot be chosen here.")
        check_opened(params.get("baseURL", ""))

    def refusal(self, message: Message, reason: str) -> str:
        error = {"error": {"name": "Error", "message": reason, "stack": ""}}
        return json.dumps({"id": message.get("id"), "error": error})

    def explain(self, text: str) -> str:
        if '"__create__"' in text or '"__dispose__"' in text:
            message = json.loads(text)
            if message.get("method") == "__create__":
                self._kinds[message["params"]["guid"]] = message["params"]["type"]
            elif message.get("method") == "__dispose__":
                self._kinds.pop(message.get("guid"), None)
        return super().explain(text)

    def add_reason(self, message: Message, reason: str) -> bool:
        error = message.get("error", {}).get("error") if message.get("error") else None
        if not isinstance(error, dict) or "message" not in error:
            return False
        error["message"] = f"{error['message']}\n{reason}"
        return True
