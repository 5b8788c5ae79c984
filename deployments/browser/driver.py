"""One life of the Chromium process that sessions and one-shot pages share, through Playwright.

Playwright is imported in this module and in those named ``driver_*``, and nowhere else.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psutil
import structlog
from playwright._impl._driver import compute_driver_executable
from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import BrowserContext, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from autobot.errors import Unavailable
from autobot.settings import Settings
from deployments.browser import cgroups, launch, memory
from deployments.browser.dial import Dialer
from deployments.browser.driver_errors import translated
from deployments.browser.driver_session import MAX_TABS, ChromiumSession
from deployments.browser.engine import SessionSpec
from deployments.browser.proxy import EgressProxy, nowhere

log = structlog.get_logger()

LAUNCH_TIMEOUT_S = 30.0
CLEANUP_TIMEOUT_S = 15.0
PAGE_BUDGET, SESSION_BUDGET = 256 << 20, 1 << 30
"""Bytes that a page of its own, and a whole session with its downloads, may move."""
NO_BYPASS = "<-loopback>"  # Chromium skips a proxy for loopback addresses unless told this


def driver_command() -> tuple[str, str]:
    """Return Playwright's driver: its Node, and the script it runs."""
    node, script = compute_driver_executable()
    return str(node), str(script)


class Chromium:
    """One Chromium process and the Playwright driver that owns it."""

    def __init__(
        self,
        playwright: Playwright,
        browser: PlaywrightBrowser,
        denied: EgressProxy,
        chosen: launch.Launch,
    ) -> None:
        self._playwright = playwright
        self._browser = browser
        self._denied = denied
        self.user = chosen.user
        self.chosen = chosen
        self._artifacts = chosen.artifacts
        self.ended = asyncio.Event()
        self._watched: list[int] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._open = 0
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
            bounds = memory.bounds(settings.browser_memory_mib)
            cage = await asyncio.to_thread(cgroups.prepare, bounds)
            chosen = launch.prepare(
                launch.find_chromium(settings.chromium, playwright.chromium.executable_path),
                settings.run_dir / "browser",
                sandbox=not settings.browser_no_sandbox,
                cage=cage,
            )
            browser = await cls._launch(playwright, chosen, await denied.start())
            chromium = cls(playwright, browser, denied, chosen)
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
                traces_dir=chosen.traces,
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
        self._spawn(memory.guard(lambda: self._open > 0, self._renderers, memory.PAGE_LIMIT))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def open_contexts(self) -> int:
        return self._open

    async def _renderers(self) -> list[int]:
        return (await self.processes()).get("renderer", [])

    async def _prove_sandbox(self) -> None:
        page = await self._browser.new_page()
        try:
            await page.goto("about:blank")
            await launch.prove_sandbox(await self._renderers())
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

    async def open(
        self, spec: SessionSpec, dialer: Dialer, *, max_tabs: int = MAX_TABS, downloads: bool = True
    ) -> ChromiumSession:
        """Open a fresh context behind a proxy of its own, with one tab."""
        proxy = EgressProxy(dialer.open, budget=SESSION_BUDGET if downloads else PAGE_BUDGET)
        context: BrowserContext | None = None
        self._open += 1
        try:
            with translated():
                context = await self._fresh_context(await proxy.start(), spec, downloads)
            session = ChromiumSession(context, proxy, dialer, spec, self, max_tabs)
            await session.begin()
        except BaseException:
            await self._undo(context, proxy)
            raise
        return session

    async def end(self, session: ChromiumSession) -> None:
        """Close ``session`` with everything it has; never raises."""
        await session.recorder.close()
        await self._undo(session.context, session.proxy)

    async def _undo(self, context: BrowserContext | None, proxy: EgressProxy) -> None:
        self._open -= 1
        if context is not None:
            await self._dispose(context)
        await proxy.close()

    async def _fresh_context(
        self, proxy_url: str, spec: SessionSpec, downloads: bool
    ) -> BrowserContext:
        options: dict[str, Any] = {
            "viewport": {"width": spec.width, "height": spec.height},
            "proxy": {"server": proxy_url, "bypass": NO_BYPASS},
            "accept_downloads": downloads,
            "locale": spec.locale,
            "timezone_id": spec.timezone,
            "user_agent": spec.user_agent,
            "storage_state": spec.storage,
        }
        making = asyncio.ensure_future(self._browser.new_context(**options))
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
        await asyncio.to_thread(shutil.rmtree, self._artifacts, ignore_errors=True)
