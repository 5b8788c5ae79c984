"""The room's browser: bounded one-shot jobs and sessions in a Chromium that is kept alive."""

import contextlib
from dataclasses import replace
from typing import Any

from autobot.cluster.topology import cluster_file
from autobot.errors import Unavailable
from autobot.settings import Settings
from deployments.browser.chromium import accounts
from deployments.browser.chromium.driver import Chromium
from deployments.browser.chromium.errors import translated
from deployments.browser.chromium.launch import Launch
from deployments.browser.chromium.restarter import Keeper
from deployments.browser.egress.connector import ClusterAddresses, Dialer, own_addresses
from deployments.browser.egress.policy import Policy, parse_allowed
from deployments.browser.engine import Page, Rendered, SessionSpec
from deployments.browser.limiter import Gate
from deployments.browser.pages.actions import Action, Download, Goto
from deployments.browser.sessions.driver import ChromiumSession

DEVICE = "CPU"  # launch.FLAGS turns graphics hardware off, so this is a fact and not a guess


class ChromiumBrowser:
    """Serves the `Browser` contract with a real Chromium."""

    def __init__(self, settings: Settings, dialer: Dialer | None = None) -> None:
        allowed = parse_allowed(settings.browser_allow)
        cluster = ClusterAddresses(cluster_file())
        self.dialer = dialer or Dialer(Policy(allowed, own_addresses(), cluster))
        self._sandbox = "off" if settings.browser_no_sandbox else "on"
        self._gate = Gate(settings.browser_concurrency, 4 * settings.browser_concurrency)
        self.keeper: Keeper[Chromium] = Keeper(lambda: Chromium.start(settings))

    def start(self) -> None:
        self.keeper.begin()

    async def close(self) -> None:
        cage = None
        with contextlib.suppress(Unavailable):
            cage = self.keeper.peek().chosen.cage
        await self.keeper.close()
        if cage is not None:  # not with each life of the browser: connections are in it as well
            cage.close()

    async def once(self, page: Page, action: Action) -> Rendered:
        async with self._gate.slot(page.owner, page.timeout_s):
            dialer = self.dialer.within(page.key_domains)
            if page.url is not None:
                await dialer.admit_url(page.url)
            chromium = await self.keeper.get()
            spec = SessionSpec(width=page.width, height=page.height, owner=page.owner)
            downloads = isinstance(action, Download)
            session = await chromium.open(spec, dialer, max_tabs=1, downloads=downloads)
            try:
                rendered = await _visit(session, page, action)
            finally:
                await session.close()
        status = session.page_status
        return replace(rendered, engine=chromium.engine, device=DEVICE, page_status=status)

    async def open(self, spec: SessionSpec) -> ChromiumSession:
        chromium = await self.keeper.get()
        return await chromium.open(spec, self.dialer.within(spec.key_domains, spec.domains))

    async def chosen(self) -> Launch:
        """Say how browsers are started here; the sandbox of one has been proved."""
        return (await self.keeper.get()).chosen

    async def facts(self) -> dict[str, Any]:
        chromium = self.keeper.peek()
        processes = await chromium.processes()
        return {
            "device": DEVICE,
            "engine": chromium.engine,
            "sandbox": self._sandbox,
            "limits": chromium.chosen.cage.told(processes["browser"][0]),
            "isolation": isolation(chromium.chosen, processes["browser"][0]),
            "user": chromium.user,
            "processes": sum(map(len, processes.values())),
            "active": self._gate.active,
            "waiting": self._gate.waiting,
            "restarts": self.keeper.starts - 1,
        }


def isolation(chosen: Launch, pid: int) -> dict[str, Any]:
    """Say what separates browsers from the machine and from each other, and what is ``missing``."""
    missing = chosen.namespaces.told(pid)
    told: dict[str, Any] = {
        "namespaces": not missing,
        "user_per_connection": accounts.fresh() != accounts.fresh(),
    }
    return told | ({"missing": missing} if missing else {})


async def _visit(session: ChromiumSession, page: Page, action: Action) -> Rendered:
    late = min(page.timeout_s + 1, 120)  # the gate's deadline comes first and says it better
    if page.html is not None:
        with translated():
            tab = session.tab(None)
            await tab.set_content(page.html, wait_until=page.wait_until, timeout=1000 * late)
        session.check(tab)
    elif page.url is not None:
        goto = Goto(url=page.url, wait_until=page.wait_until, timeout_s=late)
        await session.act(goto)
    return await session.act(action)
