"""Chromium through Playwright: the only module that imports it.

`Chromium` is one life of the browser process; `Visit` is one page in it.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import structlog
from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import BrowserContext, Playwright, Request, async_playwright
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page as Tab
from playwright.async_api import TimeoutError as PlaywrightTimeout

from autobot.errors import BlockedAddress, Invalid, Timeout, Unavailable
from autobot.settings import Settings
from deployments.browser import launch, memory
from deployments.browser.engine import (
    MAX_IMAGE_PIXELS,
    Page,
    PageFailed,
    PdfJob,
    ScreenshotJob,
)
from deployments.browser.proxy import EgressProxy, nowhere

log = structlog.get_logger()

LAUNCH_TIMEOUT_S = 30.0
CLEANUP_TIMEOUT_S = 15.0
NO_BYPASS = "<-loopback>"  # Chromium skips a proxy for loopback addresses unless told this
SHOWN_SCHEMES = ("http:", "https:", "about:", "blob:")
GONE = ("has been closed", "Connection closed", "browser has disconnected")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn Playwright's errors into ours."""
    try:
        yield
    except PlaywrightTimeout as error:
        raise Timeout(error.message.partition("\n")[0]) from error
    except PlaywrightError as error:
        cause = error.message.partition("\n")[0]
        if "crashed" in cause:
            raise PageFailed("The page crashed, or used more memory than a page may.") from error
        if any(sign in cause for sign in GONE):
            raise Unavailable("The browser crashed while it rendered this page.") from error
        raise PageFailed(f"The page could not be rendered: {cause}") from error


class Chromium:
    """One Chromium process and the Playwright driver that owns it."""

    def __init__(
        self, playwright: Playwright, browser: PlaywrightBrowser, denied: EgressProxy, user: str
    ) -> None:
        self._playwright = playwright
        self._browser = browser
        self._denied = denied
        self.user = user
        self.ended = asyncio.Event()
        self._watched: list[int] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._visits = 0
        self._profile: str | None = None
        browser.on("disconnected", lambda _: self.ended.set())

    @property
    def engine(self) -> str:
        return f"chromium/{self._browser.version}"

    @classmethod
    async def start(cls, settings: Settings) -> "Chromium":
        """Launch, and prove the sandbox. Raises `SetupError` where Chromium or it cannot run."""
        async with contextlib.AsyncExitStack() as undo:
            denied = EgressProxy(nowhere)
            undo.push_async_callback(denied.close)
            playwright = await async_playwright().start()
            undo.push_async_callback(playwright.stop)
            await asyncio.to_thread(launch.sweep, Path(tempfile.gettempdir()))
            chosen = launch.prepare(
                launch.find_chromium(settings.chromium, playwright.chromium.executable_path),
                settings.run_dir / "browser",
                sandbox=not settings.browser_no_sandbox,
            )
            browser = await cls._launch(playwright, chosen, await denied.start())
            chromium = cls(playwright, browser, denied, chosen.user)
            undo.pop_all()  # from here on the browser ends what belongs to it
            undo.push_async_callback(chromium.close)
            await chromium._watch()
            if chosen.sandbox:
                await chromium._prove_sandbox()
            undo.pop_all()
        log.info("browser.started", engine=chromium.engine, user=chosen.user)
        return chromium

    @staticmethod
    async def _launch(
        playwright: Playwright, chosen: launch.Launch, nowhere_url: str
    ) -> PlaywrightBrowser:
        try:
            return await playwright.chromium.launch(
                executable_path=chosen.executable,
                artifacts_dir=chosen.artifacts,
                chromium_sandbox=chosen.sandbox,
                args=list(launch.FLAGS),
                ignore_default_args=list(launch.DROPPED_FLAGS),
                env=dict(launch.environment()),
                proxy={"server": nowhere_url, "bypass": NO_BYPASS},
                timeout=1000 * LAUNCH_TIMEOUT_S,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except PlaywrightError as error:
            if (
                "No usable sandbox" in error.message
                or "sandbox" in error.message.partition("\n")[0]
            ):
                raise launch.no_sandbox("Chromium found none it can use") from error
            cause = launch.last_words(error.message)
            raise Unavailable(f"Chromium did not start: {cause}") from error

    async def _watch(self) -> None:
        """End with Chromium or with Playwright's driver, whose death nobody announces."""
        chromium = psutil.Process((await self.processes())["browser"][0])
        self._profile = launch.profile_of(chromium.cmdline())
        for pid in (chromium.pid, chromium.ppid()):
            fd = os.pidfd_open(pid)
            self._watched.append(fd)
            asyncio.get_running_loop().add_reader(fd, self.ended.set)
        self._spawn(memory.guard(lambda: self._visits > 0, self._renderers, memory.PAGE_LIMIT))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renderers(self) -> list[int]:
        return (await self.processes()).get("renderer", [])

    async def _prove_sandbox(self) -> None:
        page = await self._browser.new_page()
        try:
            await page.goto("about:blank")
            launch.prove_sandbox(await self._renderers())
        finally:
            await page.close()

    async def processes(self) -> dict[str, list[int]]:
        """Return Chromium's own list of its process ids, by kind (``renderer``, ``GPU``...)."""
        with translated():
            session = await self._browser.new_browser_cdp_session()
            try:
                info = await session.send("SystemInfo.getProcessInfo")
            finally:
                await session.detach()
        found: dict[str, list[int]] = {}
        for process in info["processInfo"]:
            found.setdefault(process["type"], []).append(process["id"])
        return found

    async def render(
        self, job: ScreenshotJob | PdfJob, proxy: EgressProxy
    ) -> tuple[bytes, int | None]:
        """Run ``job`` in a fresh context behind ``proxy``; return its bytes and the HTTP status."""
        page = job.page
        with translated():
            context = await self._fresh_context(await proxy.start(), page)
            self._visits += 1
            try:
                context.set_default_timeout(1000 * page.timeout_s)
                visit = Visit(await context.new_page(), proxy)
                status = await visit.open(page)
                visit.check()
                body = await _print(visit.tab, job)
                visit.check()
            finally:
                self._visits -= 1
                await self._dispose(context)
        return body, status

    async def _fresh_context(self, proxy_url: str, page: Page) -> BrowserContext:
        making = asyncio.ensure_future(
            self._browser.new_context(
                viewport={"width": page.width, "height": page.height},
                proxy={"server": proxy_url, "bypass": NO_BYPASS},
                accept_downloads=False,
            )
        )
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            # Playwright goes on making it; nobody else would ever close it.
            self._spawn(self._dispose_late(making))
            raise

    async def _dispose_late(self, making: asyncio.Future[BrowserContext]) -> None:
        with contextlib.suppress(PlaywrightError):
            await self._dispose(await making)

    async def _dispose(self, context: BrowserContext) -> None:
        try:
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await context.close()
        except TimeoutError:
            # A context that cannot be closed would keep running the page: end the whole browser.
            log.error("browser.context_stuck")
            self.ended.set()
        except PlaywrightError:
            pass  # it went with the browser

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        while self._watched:
            asyncio.get_running_loop().remove_reader(self._watched[-1])
            os.close(self._watched.pop())
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await self._browser.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await self._playwright.stop()
        await self._denied.close()
        if self._profile is not None:  # a driver that was killed has left it behind
            await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)


class Visit:
    """One page in one context, and what became of its navigations."""

    def __init__(self, tab: Tab, proxy: EgressProxy) -> None:
        self.tab = tab
        self._proxy = proxy
        self._navigations: list[str] = []
        tab.on("request", self._note)
        tab.context.on("page", _close_popup)

    def _note(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self.tab.main_frame:
            self._navigations.append(request.url)

    async def open(self, page: Page) -> int | None:
        """Load ``page``; return a URL's HTTP status. Raises the proxy's reason for a refusal."""
        if page.html is not None:
            await self.tab.set_content(page.html, wait_until=page.wait_until)
            return None
        assert page.url is not None
        try:
            response = await self.tab.goto(page.url, wait_until=page.wait_until)
        except PlaywrightError:
            for url in reversed(self._navigations):
                if failure := self._proxy.failure(url):
                    raise failure from None
            raise
        return response.status if response else None

    def check(self) -> None:
        """Raise `BlockedAddress` when the page went somewhere it may not, however late."""
        for url in self._navigations:
            if isinstance(failure := self._proxy.failure(url), BlockedAddress):
                raise failure
        if not self.tab.url.startswith(SHOWN_SCHEMES):
            raise BlockedAddress(f"The page left the web for `{self.tab.url[:100]}`.")


async def _close_popup(popup: Tab) -> None:
    with contextlib.suppress(PlaywrightError):
        await popup.close()


async def _print(tab: Tab, job: ScreenshotJob | PdfJob) -> bytes:
    if isinstance(job, PdfJob):
        return await tab.pdf(format=job.paper, landscape=job.landscape, print_background=True)
    if job.full_page:
        await _check_size(tab)
    return await tab.screenshot(full_page=job.full_page, type=job.format)


async def _check_size(tab: Tab) -> None:
    """Refuse a full page too large for memory; the layout is asked, not the page's script."""
    session = await tab.context.new_cdp_session(tab)
    size = (await session.send("Page.getLayoutMetrics"))["cssContentSize"]
    if size["width"] * size["height"] > MAX_IMAGE_PIXELS:
        raise Invalid(
            f"full_page: the page is {size['width']:.0f} x {size['height']:.0f} pixels; "
            f"at most {MAX_IMAGE_PIXELS} fit in one picture."
        )
