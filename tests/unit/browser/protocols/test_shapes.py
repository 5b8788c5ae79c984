"""The allow lists against what the installed Playwright knows, method by method.

A newer Playwright makes these fail until somebody has looked at what it changed: see
tests/unit/browser/protocols/definitions.py.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from deployments.browser.protocols import cdp as cdp_filter
from deployments.browser.protocols import playwright as playwright_filter
from deployments.browser.protocols.shapes import Refused, Shapes
from tests.unit.browser.protocols import definitions

LISTS = {
    "cdp": (cdp_filter.shapes, definitions.cdp_definition),
    "playwright": (playwright_filter.shapes, definitions.playwright_definition),
}
DANGEROUS = re.compile(
    r"path|file|dir$|dirname|folder|proxy|executable|argv|command|ur[il]s?$|origin", re.I
)
CHECKED = {
    # What `cdp` and `playwright` look at, by the name it has among the arguments.
    "cdp": {
        *cdp_filter.URLS,
        *cdp_filter.ORIGINS,
        *cdp_filter.STRUCK["Target.createBrowserContext"],
        "downloadPath",
        "files",
    },
    "playwright": {
        *playwright_filter.URLS,
        *playwright_filter.ORIGINS,
        *playwright_filter.FORBIDDEN,
        *playwright_filter.LOCAL_FILES,
        "dir",  # of recordVideo, which is forbidden
        "rootDirName",
    },
}
HARMLESS = {
    "cdp": {
        "path": "of a cookie, or of a node in its document",
        "pathFilter": "of requests in a page's cache",
        "commands": "editing commands of a text field",
        "executionContextName": "of script in a page",
    },
    "playwright": {
        "path": "of a cookie, or in a page's own storage",
        "pathRegexSource": "of cookies",
        "pathRegexFlags": "of cookies",
        "keyPath": "of a page's database",
        "keyPathArray": "of a page's database",
        "pathname": "of addresses to intercept",
        "file": "a line of the client's program, for its trace; or a form's file, by content",
    },
}


def names(shapes: Shapes, shape: Any, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """Every name of an argument that holds text, or anything."""
    if isinstance(shape, dict):
        for name, part in shape.items():
            if part in ("string", "any", ["string"]):
                yield name.removesuffix("?")
            yield from names(shapes, part, seen)
    elif isinstance(shape, list):
        yield from names(shapes, shape[0], seen)
    elif shape in shapes.types and shape not in seen:
        yield from names(shapes, shapes.types[shape], (*seen, shape))


@pytest.mark.parametrize("protocol", LISTS)
def test_every_shape_is_as_the_installed_playwright_has_it(protocol: str) -> None:
    mine, definition = LISTS[protocol]
    methods, types = definition()
    for method, shape in mine().methods.items():
        assert methods.get(method) == shape, method
    for name, shape in mine().types.items():
        assert types.get(name) == shape, name


@pytest.mark.parametrize("protocol", LISTS)
def test_every_method_that_is_not_listed_is_refused(protocol: str) -> None:
    mine, definition = LISTS[protocol]
    methods, _ = definition()
    others = set(methods) - set(mine().methods)
    assert len(others) > 50
    for method in others:
        with pytest.raises(Refused):
            mine().fit(method, {}, lambda name, text: None)


@pytest.mark.parametrize("protocol", LISTS)
def test_every_argument_that_sounds_like_a_place_is_checked_or_explained(protocol: str) -> None:
    mine, _ = LISTS[protocol]
    found = {
        name
        for shape in mine().methods.values()
        for name in names(mine(), shape)
        if DANGEROUS.search(name)
    }
    assert found - CHECKED[protocol] - set(HARMLESS[protocol]) == set()


HEADERS_OF_NO_REQUEST = {
    "CacheStorage.requestCachedResponse requestHeaders": "looks into a cache",
    "Fetch.continueResponse binaryResponseHeaders": "of an answer",
    "Fetch.continueResponse responseHeaders": "of an answer",
    "Fetch.fulfillRequest binaryResponseHeaders": "of an answer",
    "Fetch.fulfillRequest responseHeaders": "of an answer",
}


@pytest.mark.parametrize("protocol", LISTS)
def test_every_argument_that_sets_a_requests_headers_is_known(protocol: str) -> None:
    mine, _ = LISTS[protocol]
    checked = {"cdp": ("headers",), "playwright": playwright_filter.HEADERS}[protocol]
    unknown = {
        f"{method} {name.removesuffix('?')}"
        for method, shape in mine().methods.items()
        for name in shape
        if re.search(r"headers\??$", name, re.I) and name.removesuffix("?") not in checked
    }
    assert unknown - set(HEADERS_OF_NO_REQUEST) == set()
    deeper = [name for shape in mine().types.values() for name in shape if "eaders" in name]
    assert deeper == [], "look at these: only a method's own arguments are checked"


@pytest.mark.parametrize(
    "method",
    [
        "Artifact.saveAs",
        "Browser.newContextForReuse",
        "Browser.startServer",
        "BrowserContext.pause",
        "Playwright.newRequest",
        "Tracing.harStart",
    ],
)
def test_methods_that_lead_out_are_on_no_list(method: str) -> None:
    assert method in definitions.playwright_definition()[0]
    assert method not in playwright_filter.shapes().methods


@pytest.mark.parametrize(
    "method",
    [
        "Browser.executeBrowserCommand",
        "Extensions.loadUnpacked",
        "Network.loadNetworkResource",
        "Page.addCompilationCache",
        "SystemInfo.getInfo",
        "Target.exposeDevToolsProtocol",
        "Target.sendMessageToTarget",
        "Target.setRemoteLocations",
    ],
)
def test_nor_are_commands_of_chromium(method: str) -> None:
    assert method in definitions.cdp_definition()[0]
    assert method not in cdp_filter.shapes().methods
