"""What clients of the protocol endpoints may say."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from deployments.browser.protocols.cdp import CdpFilter
from deployments.browser.protocols.playwright import PlaywrightFilter

FOLDER = Path("/tmp/folder")
HOST = [{"name": "x-any", "value": "x"}, {"name": "HOST ", "value": "inside"}]
AUTHORITY = [{"name": ":authority", "value": "inside"}]
ONE_HOST = {"headers": {"host": "inside"}}
FILES = {"origin": "file:///etc/passwd", "localStorage": []}
DRAG = {"type": "drop", "x": 1, "y": 1, "data": {"items": [], "files": ["/etc/passwd"]}}


def cdp() -> CdpFilter:
    return CdpFilter(lambda: (0, ""), FOLDER)


def playwright(**kinds: str) -> PlaywrightFilter:
    filter_ = PlaywrightFilter(lambda: (0, ""), FOLDER)
    for guid, kind in kinds.items():
        made = {"type": kind, "initializer": {}, "guid": guid}
        created = {"guid": "", "method": "__create__", "params": made}
        assert filter_.explain(json.dumps(created, separators=(",", ":")))
    return filter_


def ask(
    filter_: CdpFilter | PlaywrightFilter, method: str, guid: str = "", /, **params: Any
) -> Any:
    """Return the message that is passed on, or the refusal's text."""
    said = {"id": 1, "guid": guid, "sessionId": "s", "method": method, "params": params}
    verdict = filter_.judge(json.dumps(said))
    if verdict.forward is not None:
        return json.loads(verdict.forward)
    assert verdict.reply is not None
    return verdict.reply


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("Page.navigate", {"url": "file:///etc/passwd"}),
        ("Page.navigate", {"url": " \tfile:///etc/passwd"}),
        ("Page.navigate", {"url": "fi\nle:///etc/passwd"}),
        ("Page.navigate", {"url": "FiLe:///etc/passwd"}),
        ("Page.navigate", {"url": "view-source:http://x/"}),
        ("Page.navigate", {"url": "data:text/html,x"}),
        ("Page.navigate", {"url": "javascript:alert(1)"}),
        ("Page.navigate", {"url": "blob:http://x/1"}),
        ("Page.navigate", {"url": "filesystem:http://x/1"}),
        ("Page.navigate", {"url": "chrome://version"}),
        ("Page.navigate", {"url": "chrome-extension://x/"}),
        ("Page.navigate", {"url": "chrome-untrusted://x/"}),
        ("Page.navigate", {"url": "devtools://devtools/bundled/inspector.html"}),
        ("Target.createTarget", {"url": "file:///"}),
        ("Fetch.continueRequest", {"requestId": "1", "url": "file:///etc/passwd"}),
        ("Network.setCookie", {"url": "file:///x"}),
        ("Target.exposeDevToolsProtocol", {"targetId": "1"}),
        ("Target.sendMessageToTarget", {"message": "{}"}),
        ("Target.setRemoteLocations", {}),
        ("Browser.executeBrowserCommand", {}),
        ("Browser.crash", {}),
        ("Extensions.loadUnpacked", {"path": "/"}),
        ("Tethering.bind", {"port": 1}),
        ("PWA.install", {}),
        ("Cast.enable", {}),
        ("FutureDomain.anything", {}),
        ("DOM.setFileInputFiles", {"files": ["/etc/passwd"]}),
        ("DOM.setFileInputFiles", {"files": ["/tmp/folder/../x"]}),
        ("DOM.setFileInputFiles", {"files": ["/tmp/folder"]}),
        ("DOM.setFileInputFiles", {"files": "/etc/passwd"}),
        ("DOM.setFileInputFiles", {"files": [["/etc/passwd"]]}),
        ("Input.dispatchDragEvent", {"type": "drop", "data": {"files": ["/etc/passwd"]}}),
        ("Input.dispatchDragEvent", {"data": {"items": [{"data": "x\nfile:///etc/passwd"}]}}),
        ("Input.dispatchDragEvent", {"data": {"items": [{"data": "", "baseURL": "file:///"}]}}),
        ("Storage.getUsageAndQuota", {"origin": "file://"}),
        ("Page.startScreenRecording", {}),
        ("Network.setExtraHTTPHeaders", {"headers": {"X-Any": "x", "hOST": "inside"}}),
        ("Network.setExtraHTTPHeaders", {"headers": {" Host\t": "inside"}}),
        ("Fetch.continueRequest", {"requestId": "1", "headers": HOST}),
        ("Page.navigate", {"url": ["file:///etc/passwd"]}),
        ("", {}),
    ],
)
def test_a_cdp_client_cannot_leave_its_cage(method: str, params: dict[str, Any]) -> None:
    refusal = ask(cdp(), method, **params)
    assert isinstance(refusal, str), refusal
    said = json.loads(refusal)
    assert (said["id"], said["sessionId"]) == (1, "s")
    assert said["error"]["message"]


def test_a_cdp_clients_proxy_and_paths_become_ours() -> None:
    made = ask(cdp(), "Target.createBrowserContext", proxyServer="direct://", proxyBypassList="*")
    assert made["params"] == {}
    saved = ask(cdp(), "Browser.setDownloadBehavior", behavior="allow", downloadPath="/etc")
    assert saved["params"] == {"behavior": "allow", "downloadPath": str(FOLDER)}


def test_ordinary_commands_pass_unchanged() -> None:
    ordinary: list[tuple[str, dict[str, Any]]] = [
        ("Page.navigate", {"url": "https://example.com/file:"}),
        ("Page.navigate", {"url": "about:blank"}),
        ("Runtime.evaluate", {"expression": "location = 'file:///x'"}),
        ("Input.dispatchDragEvent", {"type": "drop", "x": 1, "y": 2, "data": {"items": []}}),
        ("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}),
        ("Network.setExtraHTTPHeaders", {"headers": {"Any-Name": "x"}}),
    ]
    for method, params in ordinary:
        assert ask(cdp(), method, **params)["params"] == params


NO_COMMANDS = ["", "nonsense", "[]", "1", '{"id": 1}', '{"method": 1}', "null"]
ODD_NUMBERS = ["NaN", "1e999", "[]", "{}", "null", "1.5e400", "9" * 5000]


@pytest.mark.parametrize(
    "text",
    [
        *NO_COMMANDS,
        *(f'{{"id": {odd}, "method": "Page.reload"}}' for odd in ODD_NUMBERS),
        '{"id": 1, "sessionId": [], "method": "Page.navigate", "params": {"url": "http://x/"}}',
    ],
)
def test_what_is_no_command_is_answered_and_not_passed_on(text: str) -> None:
    for filter_ in (cdp(), playwright()):
        verdict = filter_.judge(text)
        assert verdict.forward is None
        assert verdict.reply


@pytest.mark.parametrize(
    ("kind", "method", "params"),
    [
        ("BrowserType", "launch", {"executablePath": "/bin/sh"}),
        ("BrowserType", "connectOverCDP", {"endpointURL": "http://127.0.0.1:9222"}),
        ("Electron", "launch", {"executablePath": "/bin/sh"}),
        ("Android", "devices", {"port": 5037}),
        ("LocalUtils", "harOpen", {"file": "/etc/passwd"}),
        ("LocalUtils", "connect", {"endpoint": "ws://127.0.0.1"}),
        ("SocksSupport", "socksConnected", {}),
        ("DebugController", "kill", {}),
        ("Playwright", "newRequest", {}),
        ("Browser", "startServer", {"title": "x"}),
        ("Browser", "newContextForReuse", {}),
        ("Browser", "newContext", {"proxy": {"server": "direct://"}}),
        ("Browser", "newContext", {"clientCertificates": [{}]}),
        ("Browser", "newContext", {"recordVideo": {"dir": "/tmp"}}),
        ("Browser", "newContext", {"baseURL": "file:///etc/"}),
        ("Frame", "goto", {"url": "file:///etc/passwd"}),
        ("Frame", "goto", {"url": "data:text/html,x"}),
        ("Frame", "setInputFiles", {"localPaths": ["/etc/passwd"]}),
        ("ElementHandle", "setInputFiles", {"localDirectory": "/etc"}),
        ("Route", "continue", {"url": "file:///etc/passwd"}),
        ("Artifact", "saveAs", {"path": "/etc/x"}),
        ("CDPSession", "send", {"method": "Page.navigate", "params": {"url": "file:///"}}),
        ("CDPSession", "send", {"method": "Tethering.bind", "params": {"port": 1}}),
        ("SomethingNew", "anything", {}),
        ("Frame", "somethingNew", {}),
        ("Frame", "goto.x", {"url": "http://x"}),
        ("Artifact", "pathAfterFinished", {}),
        ("BrowserContext", "setStorageState", {"storageState": {"origins": [FILES]}}),
        ("Browser", "newContext", {"storageState": {"origins": [FILES]}}),
        ("BrowserContext", "createTempFiles", {"rootDirName": "..", "items": []}),
        ("BrowserContext", "createTempFiles", {"rootDirName": "", "items": []}),
        ("BrowserContext", "createTempFiles", {"items": [{"name": "a/../../x"}]}),
        ("BrowserContext", "createTempFiles", {"items": [{"name": "/x"}]}),
        ("BrowserContext", "createTempFiles", {"items": [{"name": "x" * 256}]}),
        ("BrowserContext", "createTempFiles", {"items": {"name": "x"}}),
        ("BrowserContext", "createTempFiles", {"items": [{"name": ["/x"]}]}),
        ("Tracing", "tracingStart", {"name": "../x"}),
        ("Tracing", "tracingStartChunk", {"name": "/x"}),
        ("Tracing", "harStart", {"options": {"harPath": "/x"}}),
        ("CDPSession", "send", {"method": "Input.dispatchDragEvent", "params": DRAG}),
        ("CDPSession", "send", {"method": "Page.navigate", "params": ["file:///"]}),
        ("CDPSession", "send", {"method": ["Page.navigate"], "params": {}}),
        ("CDPSession", "send", {"method": "Network.setExtraHTTPHeaders", "params": ONE_HOST}),
        ("APIRequestContext", "fetch", {"url": "https://x/", "headers": HOST}),
        ("APIRequestContext", "fetch", {"url": "https://x/", "headers": AUTHORITY}),
        ("Route", "continue", {"headers": HOST, "isFallback": False}),
        ("Page", "setExtraHTTPHeaders", {"headers": HOST}),
        ("BrowserContext", "setExtraHTTPHeaders", {"headers": HOST}),
        ("Browser", "newContext", {"extraHTTPHeaders": HOST}),
    ],
)
def test_a_playwright_client_cannot_either(kind: str, method: str, params: dict[str, Any]) -> None:
    refusal = ask(playwright(it=kind), method, "it", **params)
    assert isinstance(refusal, str), refusal
    assert json.loads(refusal)["error"]["error"]["message"]


def test_other_headers_and_those_of_an_answer_pass() -> None:
    filter_ = playwright(r="Route", a="APIRequestContext")
    own = [{"name": "x-forwarded-host", "value": "x"}]
    asked = {"url": "https://x/", "headers": own}
    assert ask(filter_, "fetch", "a", **asked)["params"] == asked
    assert ask(filter_, "fulfill", "r", headers=HOST)["params"] == {"headers": HOST}


def test_an_id_the_server_never_gave_is_refused() -> None:
    assert isinstance(ask(playwright(), "goto", "frame@1", url="http://example.com"), str)


def test_the_reason_of_a_refused_navigation_reaches_the_client() -> None:
    refusals = [0, ""]
    filter_ = CdpFilter(lambda: (int(refusals[0]), str(refusals[1])), FOLDER)
    assert ask(filter_, "Page.navigate", url="http://inside.example/")
    refusals[:] = [1, "it is private"]
    answer = {"id": 1, "sessionId": "s", "result": {"errorText": "net::ERR_EMPTY_RESPONSE"}}
    told = json.loads(filter_.explain(json.dumps(answer)))
    assert told["result"]["errorText"] == "net::ERR_EMPTY_RESPONSE (it is private)"
    assert json.loads(filter_.explain(json.dumps(answer))) == answer


def test_a_file_of_the_clients_own_folder_may_be_named_and_no_link_in_it(tmp_path: Path) -> None:
    filter_ = CdpFilter(lambda: (0, ""), tmp_path)
    (tmp_path / "mine").write_text("x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/er").write_text("x")
    mine = {"files": [str(tmp_path / "mine")]}
    assert ask(filter_, "DOM.setFileInputFiles", **mine)["params"] == mine
    for name in ("link", "deep", "deep/er", "deep/../mine", "absent"):
        assert isinstance(ask(filter_, "DOM.setFileInputFiles", files=[f"{tmp_path}/{name}"]), str)


def test_what_the_list_does_not_name_is_not_passed_on() -> None:
    sent = {"url": "http://x/", "newInChromium": "/etc", "frameId": None}
    assert ask(cdp(), "Page.navigate", **sent)["params"] == {"url": "http://x/"}
    clicked = {"selector": "a", "position": {"x": 1, "y": 2, "z": 3}, "evil": 1}
    passed = ask(playwright(f="Frame"), "click", "f", **clicked)
    assert passed["params"] == {"selector": "a", "position": {"x": 1, "y": 2}}
    odd = json.dumps({"id": 1, "guid": "f", "method": "title", "params": {}, "evil": "/etc"})
    forwarded = playwright(f="Frame").judge(odd).forward
    assert forwarded is not None
    assert json.loads(forwarded) == {"id": 1, "guid": "f", "method": "title", "params": {}}


def test_plain_names_of_files_and_folders_pass() -> None:
    filter_ = playwright(c="BrowserContext", t="Tracing")
    files = {"rootDirName": "my folder", "items": [{"name": "sub/é.txt", "lastModifiedMs": 1}]}
    assert ask(filter_, "createTempFiles", "c", **files)["params"] == files
    assert ask(filter_, "tracingStart", "t", name="a trace")["params"] == {"name": "a trace"}
    assert ask(filter_, "tracingStart", "t")["params"] == {}


def test_a_command_too_deep_to_read_is_answered() -> None:
    deep = "[" * 100_000
    for filter_ in (cdp(), playwright()):
        verdict = filter_.judge(f'{{"id": 1, "method": "Page.navigate", "params": {{"url": {deep}')
        assert (verdict.forward, bool(verdict.reply)) == (None, True)


SIZE = 15 << 20
"""Nearly as much as a WebSocket's message may have."""


LISTED = ('"expression": "1", "arg": {"value": {"a": [', "]}}")
LONG_ONES = {
    "objects": (LISTED, '{"n":1},', SIZE),
    "fewer": (LISTED, '{"n":1},', SIZE // 4),
    "lists": (LISTED, "[],", SIZE),
    "numbers": (LISTED, "1,", SIZE),
    "unlisted": (('"expression": "1", "unlisted": [', "]"), "[],", SIZE),
    "url": (('"url": "', '"'), " ", SIZE),
    "lines": (('"type": "drop", "data": {"items": [{"data": "', '"}]}'), "\\n", SIZE),
    "folders": (('"items": [{"name": "', '"}]'), "/", SIZE),
    "names": (('"items": [', "]"), '{"name":"a"},', SIZE),
}


@pytest.mark.parametrize(
    ("kind", "guid", "method"),
    [
        ("objects", "f", "evaluateExpression"),
        ("fewer", "f", "evaluateExpression"),
        ("lists", "f", "evaluateExpression"),
        ("numbers", "f", "evaluateExpression"),
        ("unlisted", "f", "evaluateExpression"),
        ("url", "f", "goto"),
        ("lines", "", "Input.dispatchDragEvent"),
        ("folders", "c", "createTempFiles"),
        ("names", "c", "createTempFiles"),
    ],
)
def test_no_message_takes_long_to_judge(kind: str, guid: str, method: str) -> None:
    """By the processor's time: others wait meanwhile, and this machine may be busy."""
    filter_ = playwright(f="Frame", c="BrowserContext") if guid else cdp()
    (before, after), piece, size = LONG_ONES[kind]
    params = before + (piece * (size // len(piece))).rstrip(",") + after
    text = f'{{"id": "a@7", "guid": "{guid}", "method": "{method}", "params": {{{params}}}}}'
    began = time.process_time()
    verdict = filter_.judge(text)
    assert time.process_time() - began < 2
    assert (verdict.forward is None) != (verdict.reply is None)
    assert json.loads(verdict.forward or verdict.reply or "")["id"] == "a@7"


def test_what_a_page_has_made_long_is_not_read_for_the_name_in_it() -> None:
    filter_ = playwright()
    within = '{"guid":"evil","type":"Frame"},' + '{"n":[[],[]]},' * 300_000
    text = (
        '{"guid":"page@1","method":"__create__","params":{"type":"BindingCall",'
        f'"initializer":{{"args":[{within}{{}}]}},"guid":"call@1"}}}}'
    )
    began = time.process_time()
    assert filter_.explain(text) == text
    assert time.process_time() - began < 0.2
    assert "not available" in ask(filter_, "title", "evil")
    assert ask(filter_, "resolve", "call@1", result={"handles": []})["guid"] == "call@1"
    filter_.explain('{"guid":"call@1","method":"__dispose__","params":{}}')
    assert "not available" in ask(filter_, "resolve", "call@1")


def test_an_address_that_is_none_is_the_browsers_to_refuse() -> None:
    for filter_, method, guid in (
        (cdp(), "Page.navigate", ""),
        (playwright(f="Frame"), "goto", "f"),
    ):
        assert ask(filter_, method, guid, url="http://[x")["params"] == {"url": "http://[x"}
        for url in (" fi\tle:///x", "FILE:/x", "jar:http://x", "\x00view-source:http://x"):
            assert isinstance(ask(filter_, method, guid, url=url), str)


def test_an_empty_choice_of_what_nobody_may_choose_is_not_passed_on() -> None:
    filter_ = playwright(b="Browser")
    chosen = {"recordVideo": {}, "proxy": {}, "clientCertificates": [], "locale": "de"}
    assert ask(filter_, "newContext", "b", **chosen)["params"] == {"locale": "de"}


OWN = [
    ("page", "chrome://newtab/"),
    ("page", "devtools://devtools/bundled/inspector.html"),
    ("iframe", "chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/index.html"),
    ("browser_ui", ""),
]


@pytest.mark.parametrize(("kind", "url"), OWN)
def test_a_session_with_a_page_of_chromiums_own_can_only_be_left(kind: str, url: str) -> None:
    filter_ = cdp()
    assert ask(filter_, "Page.enable")["params"] == {}
    told = {"sessionId": "s", "targetInfo": {"type": kind, "url": url}}
    event = {"method": "Target.attachedToTarget", "params": told}
    assert filter_.explain(json.dumps(event, separators=(",", ":")))
    assert "browser's own" in ask(filter_, "Page.enable")
    assert ask(filter_, "Runtime.runIfWaitingForDebugger")["params"] == {}


def test_what_a_client_says_of_its_calls_passes_for_objects_of_any_kind() -> None:
    filter_ = playwright(w="WebSocket")
    waiting = {"waitId": "1", "phase": "before", "event": "close"}
    assert ask(filter_, "__waitInfo__", "w", **waiting)["params"] == waiting
    for number in (3, "dzdf@3"):
        aborted = {"guid": "w", "method": "__abort__", "params": {"id": number, "reason": "x"}}
        assert filter_.judge(json.dumps(aborted)).forward == json.dumps(aborted)
