"""How each action is done with Playwright: one function an action, and a table of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Download as PlaywrightDownload
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import FilePayload
from playwright.async_api import Page as Tab

from autobot.errors import Invalid
from deployments.browser import actions as a
from deployments.browser.chromium import reading
from deployments.browser.chromium.files import read_bounded
from deployments.browser.chromium.open_session import OpenSession
from deployments.browser.chromium.place import locate, ms
from deployments.browser.chromium.reading import MAX_TEXT
from deployments.browser.engine import Rendered, told
from deployments.browser.errors import PageFailed
from deployments.browser.pages.globs import Glob


async def perform(session: OpenSession, tab: Tab, action: a.Action) -> Rendered:
    """Do ``action`` on ``tab``. Raises Playwright's errors."""
    return await DO[type(action)](session, tab, action)


def where(tab: Tab) -> Rendered:
    """The answer of an action that shows nothing: where the page is now."""
    return told({"url": tab.url})


async def goto(session: OpenSession, tab: Tab, action: a.Goto) -> Rendered:
    """Go there and keep the answer's HTTP status as ``session.page_status``, None without one.

    Raises `BlockedAddress`, `Invalid` or `PageFailed` for a hopeless ``url`` before it is loaded.
    """
    options: dict[str, Any] = {"wait_until": action.wait_until, "timeout": ms(action)}
    if action.url is not None:
        await session.connector.admit_url(action.url)
        response = await tab.goto(action.url, **options)
    elif action.history == "back":
        response = await tab.go_back(**options)
    elif action.history == "forward":
        response = await tab.go_forward(**options)
    else:
        response = await tab.reload(**options)
    session.page_status = response.status if response else None
    return told({"url": tab.url, "status": session.page_status})


async def click(session: OpenSession, tab: Tab, action: a.Click) -> Rendered:
    await locate(tab, action).click(
        button=action.button, click_count=action.count, timeout=ms(action)
    )
    return where(tab)


async def type_(session: OpenSession, tab: Tab, action: a.Type) -> Rendered:
    """Type into the element, or key by key into what has the focus; then press ``press``.

    An element's text is replaced, unless it is typed slowly: then it is added to.
    """
    if action.named():
        place = locate(tab, action)
        if action.slowly:
            await place.press_sequentially(action.text, timeout=ms(action))
        else:
            await place.fill(action.text, timeout=ms(action))
        if action.press:
            await place.press(action.press, timeout=ms(action))
    else:
        if action.text:
            await tab.keyboard.type(action.text)
        if action.press:
            await tab.keyboard.press(action.press)
    return where(tab)


async def select(session: OpenSession, tab: Tab, action: a.Select) -> Rendered:
    """Tick a checkbox, or choose options and return their values as ``selected``."""
    place = locate(tab, action)
    if action.checked is not None:
        await place.set_checked(action.checked, timeout=ms(action))
        return where(tab)
    chosen = await place.select_option(list(action.values), timeout=ms(action))
    return told({"url": tab.url, "selected": chosen})


async def scroll(session: OpenSession, tab: Tab, action: a.Scroll) -> Rendered:
    """Scroll the element into view, then turn the wheel by pixels; nothing waits for its effect."""
    if action.named():
        await locate(tab, action).scroll_into_view_if_needed(timeout=ms(action))
    if action.x or action.y:
        await tab.mouse.wheel(action.x, action.y)
    return where(tab)


async def wait(session: OpenSession, tab: Tab, action: a.Wait) -> Rendered:
    """Wait for all that is given: element, text, address, load and seconds, one after the other.

    Each of them may take the action's whole time; the session ends the action when that is over.
    """
    if action.named():
        await locate(tab, action).first.wait_for(state=action.state, timeout=ms(action))
    if action.text is not None:
        await tab.get_by_text(action.text).first.wait_for(state=action.state, timeout=ms(action))
    if action.url is not None:
        glob = Glob(action.url)
        await tab.wait_for_url(glob.matches, wait_until="commit", timeout=ms(action))
    if action.load is not None and action.load != "commit":
        await tab.wait_for_load_state(action.load, timeout=ms(action))
    if action.seconds is not None:
        await asyncio.sleep(action.seconds)
    return where(tab)


async def evaluate(session: OpenSession, tab: Tab, action: a.Evaluate) -> Rendered:
    """Return the value as JSON; what JSON has no type for becomes its ``str``.

    Raises `Invalid` when the script throws, or when the value has more than `MAX_TEXT` characters.
    """
    try:
        value = await tab.evaluate(action.expression, action.argument)
    except PlaywrightError as error:
        if error.message.startswith("Page.evaluate: Target"):
            raise
        said = error.message.partition("\n")[0].removeprefix("Page.evaluate: ")
        raise Invalid(f"expression: {said[:500]}") from error
    answer = json.dumps({"url": tab.url, "value": value}, ensure_ascii=False, default=str)
    if len(answer) > MAX_TEXT:
        raise Invalid(f"expression: its value has {len(answer)} characters; {MAX_TEXT} fit.")
    return Rendered(answer.encode(), "application/json")


async def upload(session: OpenSession, tab: Tab, action: a.Upload) -> Rendered:
    """Set the files of a file field, or click the element and set those of the chooser it opens."""
    files: list[FilePayload] = [
        {"name": file.filename, "mimeType": file.media_type, "buffer": file.content}
        for file in action.files
    ]
    place = locate(tab, action)
    if await place.evaluate("e => e.type === 'file'", timeout=ms(action)):
        await place.set_input_files(files, timeout=ms(action))
    else:
        async with tab.expect_file_chooser(timeout=ms(action)) as chooser:
            await place.click(timeout=ms(action))
        await (await chooser.value).set_files(files, timeout=ms(action))
    return where(tab)


async def download(session: OpenSession, tab: Tab, action: a.Download) -> Rendered:
    """Follow the link or click the element, and return the file that comes.

    Raises `PageFailed` when the link is a page or the download fails, `Invalid` when it is too
    large.
    """
    if action.link is not None:
        await session.connector.admit_url(action.link)
    async with tab.expect_download(timeout=ms(action)) as coming:
        if action.link is None:
            await locate(tab, action).click(timeout=ms(action))
        else:
            await _follow(tab, action.link, ms(action))
    return await received(session.files, await coming.value)


async def received(folder: Path, download: PlaywrightDownload) -> Rendered:
    """Wait for ``download`` and return its bytes; they came through the session's proxy.

    Of the driver's word, which has it from Chromium, only the file's name counts: it is read from
    ``folder``.
    """
    failure = await download.failure()
    if failure:
        raise PageFailed(f"The download failed: {failure}.")
    name = Path(await download.path()).name
    body = await asyncio.to_thread(read_bounded, folder, name)
    if body is None:
        await download.delete()
        raise Invalid("The download is larger than a session may keep.")
    return Rendered(body, "application/octet-stream", filename=download.suggested_filename)


async def _follow(tab: Tab, link: str, timeout_ms: float) -> None:
    try:
        await tab.goto(link, timeout=timeout_ms, wait_until="commit")
    except PlaywrightError as error:
        if "Download is starting" not in error.message:
            raise
        return
    raise PageFailed(f"{link[:200]} is a page and not a download.")


Do = Callable[[OpenSession, Tab, Any], Awaitable[Rendered]]
DO: dict[type[a.Action], Do] = {
    a.Screenshot: reading.screenshot,
    a.Pdf: reading.pdf,
    a.Content: reading.content,
    a.Markdown: reading.markdown,
    a.Extract: reading.extract,
    a.Goto: goto,
    a.Click: click,
    a.Type: type_,
    a.Select: select,
    a.Scroll: scroll,
    a.Wait: wait,
    a.Evaluate: evaluate,
    a.Upload: upload,
    a.Download: download,
    a.Snapshot: reading.snapshot_,
}
