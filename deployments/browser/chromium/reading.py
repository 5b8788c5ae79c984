"""How pages are read with Playwright: pictures, papers, text, trees."""

import asyncio
import contextlib
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator
from playwright.async_api import Page as Tab

from autobot.errors import Invalid
from deployments.browser import actions as a
from deployments.browser.chromium.open_session import OpenSession
from deployments.browser.chromium.place import locate, ms
from deployments.browser.engine import MAX_IMAGE_PIXELS, Rendered, told
from deployments.browser.pages import snapshot

MAX_TEXT = 8 << 20
MAX_TITLE = 2000
HTML = f"""(() => {{
    const html = document.documentElement?.outerHTML ?? "";
    if (html.length > {MAX_TEXT}) return html.length;
    const type = document.doctype;
    return (type ? new XMLSerializer().serializeToString(type) : "") + html;
}})()"""
TEXT_OF = "e => e.matches('input,textarea,select') ? e.value : e.innerText ?? e.textContent"


async def screenshot(session: OpenSession, tab: Tab, action: a.Screenshot) -> Rendered:
    """Return the picture. Raises `Invalid` for a full page of more than `MAX_IMAGE_PIXELS`."""
    options: dict[str, Any] = {"type": action.format, "timeout": ms(action)}
    if action.quality is not None:
        options["quality"] = action.quality
    if action.named():
        body = await locate(tab, action).screenshot(**options)
    else:
        if action.full_page:
            await _check_size(tab)
        body = await tab.screenshot(full_page=action.full_page, **options)
    return Rendered(body, f"image/{action.format}")


async def _check_size(tab: Tab) -> None:
    """Refuse a full page too large for memory; the layout is asked, not the page's script."""
    session = await tab.context.new_cdp_session(tab)
    size = (await session.send("Page.getLayoutMetrics"))["cssContentSize"]
    await session.detach()
    if size["width"] * size["height"] > MAX_IMAGE_PIXELS:
        raise Invalid(
            f"full_page: the page is {size['width']:.0f} x {size['height']:.0f} pixels; "
            f"at most {MAX_IMAGE_PIXELS} fit in one picture."
        )


async def pdf(session: OpenSession, tab: Tab, action: a.Pdf) -> Rendered:
    """Return the page as printed, with its backgrounds; the session alone bounds the time."""
    body = await tab.pdf(format=action.paper, landscape=action.landscape, print_background=True)
    return Rendered(body, "application/pdf")


async def _html(tab: Tab) -> str:
    """The page as it is now; one that is too long does not even leave its own process.

    Asked in a world of our own, where the page's script has changed nothing.
    """
    session = await tab.context.new_cdp_session(tab)
    try:
        frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        world = await session.send("Page.createIsolatedWorld", {"frameId": frame})
        where = {"contextId": world["executionContextId"], "returnByValue": True}
        found = await session.send("Runtime.evaluate", {"expression": HTML, **where})
    finally:
        with contextlib.suppress(PlaywrightError):  # the tab may be gone
            await session.detach()
    html = found["result"].get("value")
    if not isinstance(html, str):
        raise Invalid(f"The page has {html} characters; at most {MAX_TEXT} are returned.")
    return html


async def content(session: OpenSession, tab: Tab, action: a.Content) -> Rendered:
    """Return the HTML with its doctype. Raises `Invalid` when it is longer than `MAX_TEXT`."""
    return Rendered((await _html(tab)).encode(), "text/html; charset=utf-8")


async def markdown(session: OpenSession, tab: Tab, action: a.Markdown) -> Rendered:
    """Return the page as Markdown; raises as `content` and `Readers.markdown` do."""
    html = await _html(tab)
    text = await session.readers.markdown(
        session.spec.owner, html, tab.url, whole=action.whole, links=action.links
    )
    return Rendered(text.encode(), "text/markdown; charset=utf-8")


async def extract(session: OpenSession, tab: Tab, action: a.Extract) -> Rendered:
    """Return the fields as an object, or with ``rows`` a list of them, within ``limit``.

    A value is trimmed text, the ``value`` of a form field, or an attribute. It is None when nothing
    matches, and a list with ``every``.
    """
    if action.rows is None:
        return told({"url": tab.url, "data": await _fields(tab, tab.locator("html"), action)})
    rows = (await tab.locator(action.rows).all())[: action.limit]
    found = [await _fields(tab, row, action) for row in rows]
    return told({"url": tab.url, "data": found})


async def _fields(tab: Tab, inside: Locator, action: a.Extract) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, wanted in action.fields.items():
        place = locate(tab, wanted) if wanted.ref else _within(inside, wanted)
        if wanted.every:
            places = (await place.all())[: action.limit]
            values[name] = [await _value(one, wanted, action) for one in places]
        else:
            values[name] = (
                await _value(place.first, wanted, action) if await place.count() else None
            )
    return values


def _within(inside: Locator, wanted: a.Wanted) -> Locator:
    if not wanted.named():
        return inside
    if wanted.role is not None:
        role: Any = wanted.role
        return inside.get_by_role(role, name=wanted.label)
    return inside.locator(wanted.selector or "*")


async def _value(place: Locator, wanted: a.Wanted, action: a.Extract) -> Any:
    if wanted.attribute is not None:
        return await place.get_attribute(wanted.attribute, timeout=ms(action))
    text = await place.evaluate(TEXT_OF, timeout=ms(action))
    return str(text).strip()


async def snapshot_(session: OpenSession, tab: Tab, action: a.Snapshot) -> Rendered:
    """Return address, title and ARIA tree, and how many lines of it were ``left_out``.

    The tree is kept for the tab: the next snapshot with ``diff`` is compared with it.
    """
    if action.named():
        tree = await locate(tab, action).aria_snapshot(mode="ai", timeout=ms(action))
    else:
        tree = await tab.aria_snapshot(mode="ai", timeout=ms(action))
    before = session.last_snapshot.get(tab) if action.diff else None
    text, left_out, session.last_snapshot[tab] = await asyncio.to_thread(
        _shown, tree, before, action.tokens
    )
    title = (await tab.title())[:MAX_TITLE]
    return told({"url": tab.url, "title": title, "tree": text, "left_out": left_out})


def _shown(tree: str, before: str | None, tokens: int) -> tuple[str, int, str]:
    """What is told of ``tree``, how many lines are not, and what of it is kept. For a thread."""
    tree, beyond = snapshot.bounded(tree)
    shown = tree if before is None else snapshot.difference(before, tree)
    text, left_out = snapshot.fit(shown, tokens)
    return text, left_out + beyond, tree
