"""One life of the Chromium process that sessions and one-shot pages share, through Playwright.

Playwright is imported in this folder and nowhere else.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import structlog
from playwright._impl._driver import compute_driver_executable
from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import BrowserContext, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from autobot.errors import Unavailable
from autobot.settings import Settings
from deployments.browser.chromium import launch
from deployments.browser.chromium.errors import translated
from deployments.browser.chromium.isolation import accounts, cgroups, folders, memory, namespaces
from deployments.browser.chromium.session import MAX_TABS, ChromiumSession
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.proxy import EgressProxy, nowhere
from deployments.browser.engine import SessionSpec
from deployments.browser.pages.reader import Readers

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
        mine: folders.Folders,
    ) -> None:
        self._playwright = playwright
        self._browser = browser
        self._denied = denied
        self.user = mine.account.name
        self.chosen = chosen
        self.folders = mine
        self.readers = Readers((mine.account.uid, mine.account.gid))
        self.ended = asyncio.Event()
        self._watched: list[int] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._open = 0
        browser.on("disconnected", lambda _: self.ended.set())

    @property
    def engine(self) -> str:
        """Name and version as Chromium says them, such as ``chromium/141.0.7390.37``."""
        return f"chromium/{self._browser.version}"

    @classmethod
    async def start(cls, settings: Settings) -> "Chromium":
        """Launch, and prove the sandbox. Raises `SetupError` where Chromium or it cannot run."""
        async with contextlib.AsyncExitStack() as undo:
            denied = EgressProxy(nowhere)
            undo.push_async_callback(denied.close)
            playwright = await async_playwright().start()
            undo.push_async_callback(playwright.stop)
            await asyncio.to_thread(folders.sweep, Path(tempfile.gettempdir()))
            mine = await asyncio.to_thread(folders.make, "chromium", accounts.ours())
            undo.push_async_callback(asyncio.to_thread, mine.remove)
            bounds = memory.bounds(settings.browser_memory_mib)
            chosen = launch.Launch(
                launch.find_chromium(settings.chromium, playwright.chromium.executable_path),
                sandbox=not settings.browser_no_sandbox,
                cgroup=await asyncio.to_thread(cgroups.prepare, bounds),
                namespaces=await asyncio.to_thread(namespaces.prepare, mine),
            )
            run_dir = settings.run_dir / "browser"
            browser = await cls._launch(playwright, chosen, mine, run_dir, await denied.start())
            chromium = cls(playwright, browser, denied, chosen, mine)
            undo.pop_all()  # from here on the browser ends what belongs to it
            undo.push_async_callback(chromium.close)
            await chromium._watch()
            if chosen.sandbox:
                await chromium._prove_sandbox()
            undo.pop_all()
        log.info("browser.started", engine=chromium.engine, user=chromium.user)
        return chromium

    @staticmethod
    async def _launch(
        playwright: Playwright,
        chosen: launch.Launch,
        mine: folders.Folders,
        run_dir: Path,
        nowhere_url: str,
    ) -> PlaywrightBrowser:
        traces = run_dir / "traces"  # ours alone: Chromium writes nothing there
        traces.mkdir(parents=True, exist_ok=True)
        try:
            return await playwright.chromium.launch(
                executable_path=launch.wrapper(chosen, mine, run_dir),
                artifacts_dir=mine.files,
                traces_dir=traces,
                chromium_sandbox=chosen.sandbox,
                args=list(launch.FLAGS),
                ignore_default_args=list(launch.DROPPED_FLAGS),
                env=dict(launch.environment(mine)),
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
        driver = launch.family(self.folders)[0].ppid()
        for pid in (*(await self.processes())["browser"], driver):
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
        """Contexts of pages and sessions that are open now."""
        return self._open

    async def _renderers(self) -> list[int]:
        return (await self.processes()).get("renderer", [])

    async def _prove_sandbox(self) -> None:
        page = await self._browser.new_page()
        try:
            await page.goto("about:blank")
            found = await self.processes()
            await launch.prove_sandbox(found["renderer"], found["browser"][0])
        finally:
            await page.close()

    async def processes(self) -> dict[str, list[int]]:
        """Return the ids of Chromium's processes, by its own word for each (``renderer``...)."""
        with translated():
            session = await self._browser.new_browser_cdp_session()
            try:
                info = await session.send("SystemInfo.getProcessInfo")
            finally:
                await session.detach()
        said: dict[str, list[int]] = {}
        for process in info["processInfo"]:
            said.setdefault(process["type"], []).append(process["id"])
        family = await asyncio.to_thread(launch.family, self.folders)
        shut_in = bool(self.chosen.namespaces.program)
        return {kind: launch.seen_from_here(family, pids, shut_in) for kind, pids in said.items()}

    async def open(
        self,
        spec: SessionSpec,
        connector: Connector,
        *,
        max_tabs: int = MAX_TABS,
        downloads: bool = True,
    ) -> ChromiumSession:
        """Open a fresh context behind a proxy of its own, with one tab."""
        proxy = EgressProxy(connector.open, budget=SESSION_BUDGET if downloads else PAGE_BUDGET)
        context: BrowserContext | None = None
        self._open += 1
        try:
            with translated():
                context = await self._fresh_context(await proxy.start(), spec, downloads)
            session = ChromiumSession(context, proxy, connector, spec, self, max_tabs)
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
        """End the browser, its driver, the readers and the proxy, and remove their folders.

        It waits at most `CLEANUP_TIMEOUT_S` for the browser, and as long for the driver.
        """
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
        await asyncio.to_thread(self.readers.close)
        await asyncio.to_thread(self.folders.remove)
