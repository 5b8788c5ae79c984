"""Playwright's own protocol: the methods a client may call, and the names it may choose in them."""

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path

from deployments.browser.chromium.files import plain
from deployments.browser.protocols import cdp
from deployments.browser.protocols.filter import (
    NO_PATHS,
    Message,
    ProtocolFilter,
    Refusals,
    check_headers,
    check_mentioned,
    check_opened,
)
from deployments.browser.protocols.shapes import Refused, Shapes

LIST = Path(__file__).with_name("playwright.json")
"""Every method somebody has looked at; tests/unit/browser/protocols/definitions.py writes it."""
OPENS = {
    "APIRequestContext.fetch",
    "Frame.goto",
    "Route.continue",
    "Route.redirectNavigationRequest",
}
NAVIGATES = {"Frame.goto", "Page.reload", "Page.goBack", "Page.goForward"}
URLS = {"url", "urls"}
ORIGINS = {"origin", "baseURL"}
FORBIDDEN = ("proxy", "clientCertificates", "recordVideo")
LOCAL_FILES = ("localPaths", "localDirectory")
BORN = re.compile(r'\{"guid":"[^"]{0,200}","method":"__create__","params":\{"type":"(\w{1,80})",')
NAMED = re.compile(r',"guid":"([^"]{1,200})"\}\}$')
GONE = re.compile(r'\{"guid":"([^"]{1,200})","method":"__dispose__"')
MAX_GUID = 220
MOST_FOLDERS = 32
HEADERS = ("headers", "extraHTTPHeaders")
ANSWERS = {"Route.fulfill"}
"""Its headers are those of an answer."""


@functools.cache
def shapes() -> Shapes:
    """Return the allow list of Playwright's protocol; its file is read at the first call."""
    return Shapes.read(LIST)


@functools.cache
def about_calls() -> Shapes:
    """What a client says of its calls, to objects of any kind."""
    abort = {"id": "any", "reason?": "string"}  # a number or, of newer clients, a string
    types = shapes().types
    return Shapes(
        {"__waitInfo__": types["WaitInfo"], "__abort__": abort, "metadata": types["Metadata"]},
        types,
    )


class PlaywrightFilter(ProtocolFilter):
    """Judges Playwright's protocol. It learns from the server what kind of thing each id is."""

    def __init__(self, refusals: Refusals, folder: Path) -> None:
        super().__init__(refusals)
        self._folder = folder
        self._kinds = {"": "Root"}

    def check(self, message: Message) -> tuple[Message, bool]:
        """See `ProtocolFilter`. It refuses calls to objects that the server has not told of."""
        guid = message.get("guid", "")
        kind = self._kinds.get(guid) if isinstance(guid, str) else None
        method = f"{kind}.{message['method']}"
        if kind is None:
            raise Refused(f"{method[:80]} is not available here.")
        passed = {name: message[name] for name in ("id",) if name in message}
        passed |= {"guid": guid, "method": message["method"]}
        if isinstance(message.get("metadata"), dict):
            passed["metadata"] = about_calls().fit("metadata", message["metadata"], _ignore)
        if message["method"] in ("__waitInfo__", "__abort__"):
            passed["params"] = about_calls().fit(message["method"], message["params"], _ignore)
            return passed, False
        passed["params"] = self._corrected(method, message["params"])
        return passed, method in NAVIGATES

    def _corrected(self, method: str, arguments: Message) -> Message:
        if any(arguments.get(name) for name in LOCAL_FILES):
            raise Refused(NO_PATHS)
        if method == "Browser.newContext":
            _check_context(arguments)
        params = shapes().fit(method, arguments, _check)
        for name in HEADERS if method not in ANSWERS else ():
            check_headers(params.get(name))
        if method in OPENS:
            check_opened(params.get("url", ""))
        _check_names(chosen_names(method, params))
        if method == "CDPSession.send":
            inner = params.get("params") or {}
            if not isinstance(inner, dict):
                raise Refused("This is no command.")
            command = params.get("method", "")
            params["params"] = cdp.corrected(command, inner, self._folder)
        return params

    def refusal(self, message: Message, reason: str) -> str:
        error = {"error": {"name": "Error", "message": reason, "stack": ""}}
        return json.dumps({"id": message.get("id"), "error": error})

    def explain(self, text: str) -> str:
        """See `ProtocolFilter`. It also learns which objects come and go, and their kinds."""
        if born := BORN.match(text):
            # Between the two is what a page may have made as long and as deep as it likes.
            named = NAMED.search(text, max(len(text) - MAX_GUID, 0))
            if named:
                self._kinds[named[1]] = born[1]
        elif gone := GONE.match(text):
            self._kinds.pop(gone[1], None)
        return super().explain(text)

    def add_reason(self, message: Message, reason: str) -> bool:
        error = message.get("error", {}).get("error") if message.get("error") else None
        if not isinstance(error, dict) or "message" not in error:
            return False
        error["message"] = f"{error['message']}\n{reason}"
        return True


def _ignore(name: str, text: str) -> None:
    """What is said of a call names nothing the server would open."""


def _check(name: str, text: str) -> None:
    if name in URLS:
        check_mentioned(text)
    elif name in ORIGINS:
        check_opened(text)


def _check_context(arguments: Message) -> None:
    for name in FORBIDDEN:
        if arguments.pop(name, None):  # an empty one would count as one for the server
            raise Refused(f"A context's `{name}` cannot be chosen here.")


def chosen_names(method: str, params: Message) -> list[str]:
    """Return every name in ``params`` that the server gives to a file or a folder."""
    if method == "BrowserContext.createTempFiles":
        root = params.get("rootDirName")
        # A folder that is uploaded has folders in it.
        names = [part for item in params["items"] for part in _parts(item)]
        return [*([] if root is None else [root]), *names]
    if method in ("Tracing.tracingStart", "Tracing.tracingStartChunk"):
        return [params["name"]] if params.get("name") is not None else []
    return []


def _parts(item: Message) -> list[str]:
    return item.get("name", "").split("/", MOST_FOLDERS)  # what is too deep is no plain name


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not plain(name):
            raise Refused(f"`{name[:80]}` is not a plain name of a file.")
