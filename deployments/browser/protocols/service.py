"""Protocol connections: each has a browser of its own and counts as a session.

A connection ends when its client goes, its browser dies, nothing was said for `IDLE_S`, or its time
is up. Downloads of a CDP client lie in its connection's folder until then.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog

from autobot.errors import NotFound
from deployments.browser.admission import AdmissionQueue
from deployments.browser.chromium import launch
from deployments.browser.chromium.files import read_bounded
from deployments.browser.chromium.isolation.memory import PER_CONNECTION, Meter
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Domains
from deployments.browser.egress.proxy import EgressProxy
from deployments.browser.engine import Rendered
from deployments.browser.first_completed import until_one_ends
from deployments.browser.protocols.browser_process import (
    BrowserProcess,
    chromium_by_pipe,
    folders_for_one,
    playwright_server,
)
from deployments.browser.protocols.cdp import CdpFilter
from deployments.browser.protocols.filter import LONG, ProtocolFilter
from deployments.browser.protocols.playwright import PlaywrightFilter

log = structlog.get_logger()

IDLE_S = 600.0
LONGEST_S = 6 * 3600.0
QUEUE_S = 10.0

Kind = Literal["cdp", "playwright"]
Receive = Callable[[], Awaitable[str | None]]
Send = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, eq=False)
class ProtocolConnection:
    """One client's browser, ready to be spoken to."""

    owner: str
    folder: Path
    remote: BrowserProcess
    filter_: ProtocolFilter
    kind: Kind
    proxy: EgressProxy
    created: float

    def describe(self) -> dict[str, Any]:
        """What its client is told beside the protocol, which has no word for a refused image."""
        return {
            "kind": self.kind,
            "created": self.created,
            "refused": self.proxy.refusals,
            "blocked": list(self.proxy.blocked),
        }


class Connections:
    """Opens browsers for protocol clients, as ``chosen`` says how browsers run here."""

    def __init__(
        self,
        chosen: Callable[[], Awaitable[launch.Launch]],
        driver: tuple[str, str],
        connector: Connector,
        admission: AdmissionQueue,
        meter: Meter,
    ) -> None:
        self._chosen = chosen
        self._driver = driver
        self._connector = connector
        self._admission = admission
        self._meter = meter
        self._open: set[ProtocolConnection] = set()

    @property
    def open_now(self) -> int:
        """How many connections there are, of all keys together."""
        return len(self._open)

    @contextlib.asynccontextmanager
    async def link(
        self, owner: str, kind: Kind, *lists: Domains
    ) -> AsyncIterator[ProtocolConnection]:
        """Start a browser for ``owner`` that keeps to every one of ``lists``.

        Raises `Busy` when there is no place for it.
        """
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._admission.place(owner, QUEUE_S))
            self._meter.opened(PER_CONNECTION)
            chosen = await self._chosen()
            folders = await stack.enter_async_context(folders_for_one())
            proxy = EgressProxy(self._connector.within(*lists).open, budget=1 << 30)
            stack.push_async_callback(proxy.close)
            url = await proxy.start()

            def refusals() -> tuple[int, str]:
                return proxy.refusals, proxy.last_refusal

            filter_: ProtocolFilter
            if kind == "cdp":
                browser = chromium_by_pipe(chosen, folders, url)
                filter_ = CdpFilter(refusals, folders.files)
            else:
                browser = playwright_server(chosen, folders, url, self._driver)
                filter_ = PlaywrightFilter(refusals, folders.files)
            remote = await stack.enter_async_context(browser)
            link = ProtocolConnection(
                owner, folders.files, remote, filter_, kind, proxy, time.time()
            )
            self._open.add(link)
            stack.callback(self._open.discard, link)
            log.info("browser.connected", kind=kind)
            yield link
            log.info("browser.disconnected", kind=kind)

    def all(self, owner: str) -> list[dict[str, Any]]:
        """Describe ``owner``'s open connections, oldest first."""
        mine = [link for link in self._open if link.owner == owner]
        return [link.describe() for link in sorted(mine, key=lambda link: link.created)]

    async def download(self, owner: str, guid: str) -> Rendered:
        """Return a file a CDP client has downloaded, by the ``guid`` its events give."""
        for link in self._open:
            if link.owner != owner:
                continue
            with contextlib.suppress(OSError):
                body = await asyncio.to_thread(read_bounded, link.folder, guid)
                if body is not None:
                    return Rendered(body, "application/octet-stream", filename=guid)
        raise NotFound("There is no such download in an open connection.")


async def talk(
    link: ProtocolConnection, receive: Receive, send: Send, longest_s: float = LONGEST_S
) -> str:
    """Pass messages both ways until either side ends; return why it ended."""
    heard = time.monotonic()

    async def outward() -> str:
        nonlocal heard
        while (text := await receive()) is not None:
            heard = time.monotonic()
            if len(text) > LONG:
                verdict = await asyncio.to_thread(link.filter_.judge, text)
            else:
                verdict = link.filter_.judge(text)
            if verdict.forward is not None:
                await link.remote.send(verdict.forward)
            elif verdict.reply is not None:
                await send(verdict.reply)
        return "the client has gone"

    async def inward() -> str:
        nonlocal heard
        while (text := await link.remote.receive()) is not None:
            heard = time.monotonic()
            await send(link.filter_.explain(text))
        return "the browser has ended"

    async def patience() -> str:
        ends = time.monotonic() + longest_s
        while True:
            left = min(ends, heard + IDLE_S) - time.monotonic()
            if left <= 0:
                return "its time is up"
            await asyncio.sleep(left)

    return (await until_one_ends(outward(), inward(), patience())).result()
