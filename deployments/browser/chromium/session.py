"""One browser context: its tabs, downloads and dialogs, and what became of its navigations."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol

from playwright.async_api import BrowserContext, Dialog, Request
from playwright.async_api import Download as PlaywrightDownload
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page as Tab

from autobot.errors import BlockedAddress, NotFound, Timeout
from deployments.browser.actions import Action, Wait
from deployments.browser.chromium import screencast
from deployments.browser.chromium.actions import perform, received
from deployments.browser.chromium.errors import translated
from deployments.browser.chromium.isolation.folders import Folders
from deployments.browser.chromium.recording import Recorder
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.proxy import EgressProxy
from deployments.browser.engine import Frame, Input, Rendered, SessionSpec, SessionState
from deployments.browser.errors import PageFailed
from deployments.browser.pages.reader import Readers

SHOWN_SCHEMES = ("http:", "https:", "about:", "blob:")
ERROR_PAGE = "chrome-error:"
MAX_TABS = 8
MAX_DOWNLOADS = 20
MAX_NOTED = 50


class Home(Protocol):
    """What a session needs of the browser it is in. ``ended`` is set when that has ended."""

    ended: asyncio.Event
    folders: Folders
    readers: Readers

    async def end(self, session: "ChromiumSession") -> None:
        """Close the session with its context, recordings and proxy; never raises."""
        ...


class ChromiumSession:
    """Serves the `Session` contract. ``max_tabs`` 1 is a one-shot page, whose popups close."""

    def __init__(
        self,
        context: BrowserContext,
        proxy: EgressProxy,
        connector: Connector,
        spec: SessionSpec,
        chromium: Home,
        max_tabs: int = MAX_TABS,
    ) -> None:
        self.context = context
        self.connector = connector
        self.ended = chromium.ended
        self.files = chromium.folders.files
        self._chromium = chromium
        self.spec = spec
        self.readers = chromium.readers
        self.recorder = Recorder(context, spec)
        self.last_snapshot: dict[Tab, str] = {}
        self.page_status: int | None = None
        self.proxy = proxy
        self._max_tabs = max_tabs
        self._tabs: list[Tab] = []
        self._adopted = asyncio.Event()
        self._navigations: list[tuple[Tab, str]] = []
        self._downloads: list[PlaywrightDownload] = []
        self._dialogs: list[dict[str, str]] = []
        self.newest: Tab | None = None
        context.on("page", self._adopt)
        context.on("request", self._note)
        context.on("dialog", self._answer)

    async def begin(self) -> None:
        """Open the first tab, and the recordings that were asked for."""
        with translated():
            await self.recorder.begin()
            await self.context.new_page()

    async def act(self, action: Action) -> Rendered:
        """See `Session`. Raises `BlockedAddress` also when the action led a page there.

        The action has a second more than its time: Playwright says better what it has waited for.
        """
        self._navigations.clear()
        with translated():
            try:
                async with asyncio.timeout(action.timeout_s + 1):
                    if isinstance(action, Wait) and action.tab is not None:
                        await self._opened(action.tab)
                    tab = self.tab(action.tab)
                    rendered = await perform(self, tab, action)
            except TimeoutError as error:
                raise Timeout(f"No end within {action.timeout_s:g} s.") from error
            except PlaywrightError:
                self._explain()
                raise
        self.check(tab)
        return rendered

    async def _opened(self, number: int) -> None:
        """Wait for a tab a page is opening: Chromium tells of it when its page has begun to load,
        which is after the click that opens it is done.
        """
        while number >= len(self._tabs):
            self._adopted.clear()
            await self._adopted.wait()

    def tab(self, number: int | None) -> Tab:
        """Return tab ``number``, which becomes the one that actions without a number use."""
        if number is not None:
            if number >= len(self._tabs):
                raise NotFound(f"There is no tab {number}; this session has {len(self._tabs)}.")
            self.newest = self._tabs[number]
        if self.newest is None:
            raise PageFailed("Every tab of this session is closed; `goto` cannot open one.")
        return self.newest

    def check(self, tab: Tab) -> None:
        """Raise `BlockedAddress` when the page went somewhere it may not, however late."""
        for where, url in self._navigations:
            failure = self.proxy.failure(url)
            if where == tab and isinstance(failure, BlockedAddress):
                raise failure
        if not tab.url.startswith((*SHOWN_SCHEMES, ERROR_PAGE)) and tab.url != "":
            raise BlockedAddress(f"The page left the web for `{tab.url[:100]}`.")

    def _explain(self) -> None:
        """Raise the proxy's reason for the last navigation that failed, if it has one."""
        for _, url in reversed(self._navigations):
            if failure := self.proxy.failure(url):
                raise failure from None

    def _note(self, request: Request) -> None:
        if not request.is_navigation_request():
            return
        with contextlib.suppress(PlaywrightError):  # its frame may not exist yet
            tab = request.frame.page
            if request.frame == tab.main_frame and len(self._navigations) < MAX_NOTED:
                self._navigations.append((tab, request.url))

    async def _adopt(self, tab: Tab) -> None:
        if len(self._tabs) >= self._max_tabs:
            with contextlib.suppress(PlaywrightError):
                await tab.close()
            return
        self._tabs.append(tab)
        self._adopted.set()
        self.newest = tab
        tab.on("close", self._forget)
        tab.on("download", self._keep)

    def _forget(self, tab: Tab) -> None:
        self._tabs.remove(tab)
        self.last_snapshot.pop(tab, None)
        if self.newest == tab:
            self.newest = self._tabs[-1] if self._tabs else None

    async def _keep(self, download: PlaywrightDownload) -> None:
        if len(self._downloads) < MAX_DOWNLOADS:
            self._downloads.append(download)
            return
        with contextlib.suppress(PlaywrightError):
            await download.cancel()

    async def _answer(self, dialog: Dialog) -> None:
        said = {"kind": dialog.type, "message": dialog.message[:2000]}
        self._dialogs = [*self._dialogs[1 - MAX_NOTED :], said]
        with contextlib.suppress(PlaywrightError):
            # A page that asks before it is left must not keep the session from leaving.
            if self.spec.dialogs == "accept" or dialog.type == "beforeunload":
                await dialog.accept(dialog.default_value)
            else:
                await dialog.dismiss()

    def state(self) -> SessionState:
        """See `Session`. The number of a tab changes when one before it closes."""
        return SessionState(
            tabs=[
                {"tab": number, "url": tab.url, "newest": tab == self.newest}
                for number, tab in enumerate(self._tabs)
            ],
            downloads=[
                {"number": number, "filename": download.suggested_filename}
                for number, download in enumerate(self._downloads)
            ],
            dialogs=list(self._dialogs),
            blocked=list(self.proxy.blocked),
        )

    async def storage(self) -> dict[str, Any]:
        with translated():
            return dict(await self.context.storage_state())

    async def download(self, number: int) -> Rendered:
        """Wait for the download of that number in `state`, and return it. Raises `NotFound`."""
        if not 0 <= number < len(self._downloads):
            raise NotFound(f"There is no download {number}.")
        with translated():
            return await received(self.files, self._downloads[number])

    async def recording(self, kind: Literal["trace", "video"]) -> Rendered:
        with translated():
            return await self.recorder.take(kind)

    async def frames(self) -> AsyncGenerator[Frame, None]:
        async for frame in screencast.frames(self):
            yield frame

    async def input(self, event: Input) -> None:
        """See `Session`. Raises `PageFailed` when every tab is closed."""
        with translated():
            await screencast.send(self.tab(None), event)

    async def selection(self) -> str:
        with translated():
            return await screencast.selection(self.tab(None))

    async def close(self) -> None:
        await self._chromium.end(self)
