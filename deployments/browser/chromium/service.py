"""The room's browser: bounded one-shot jobs and sessions in a Chromium that is kept alive."""

import contextlib
from dataclasses import replace
from typing import Any

from autobot.errors import Unavailable
from autobot.platform.topology import cluster_file
from autobot.settings import Settings
from deployments.browser.actions import Action, Download, Goto
from deployments.browser.chromium.driver import Chromium
from deployments.browser.chromium.errors import translated
from deployments.browser.chromium.isolation import accounts
from deployments.browser.chromium.launch import Launch
from deployments.browser.chromium.restarter import Restarter
from deployments.browser.chromium.session import ChromiumSession
from deployments.browser.egress.connector import ClusterAddresses, Connector, own_addresses
from deployments.browser.egress.policy import Policy, parse_allowed
from deployments.browser.engine import Page, Rendered, SessionSpec
from deployments.browser.limiter import JobLimiter

DEVICE = "CPU"  # launch.FLAGS turns graphics hardware off, so this is a fact and not a guess


class ChromiumBrowser:
    """Serves the `Browser` contract with a real Chromium."""

    def __init__(self, settings: Settings, connector: Connector | None = None) -> None:
        allowed = parse_allowed(settings.browser_allow)
        cluster = ClusterAddresses(cluster_file())
        self.connector = connector or Connector(Policy(allowed, own_addresses(), cluster))
        self._sandbox = "off" if settings.browser_no_sandbox else "on"
        self._limiter = JobLimiter(settings.browser_concurrency, 4 * settings.browser_concurrency)
        self.restarter: Restarter[Chromium] = Restarter(lambda: Chromium.start(settings))

    def start(self) -> None:
        self.restarter.begin()

    async def close(self) -> None:
        cgroup = None
        with contextlib.suppress(Unavailable):
            cgroup = self.restarter.peek().chosen.cgroup
        await self.restarter.close()
        if cgroup is not None:  # not with each life of the browser: connections are in it as well
            cgroup.close()

    async def once(self, page: Page, action: Action) -> Rendered:
        """See `Browser`. The page's time covers the wait for a place and Chromium's start."""
        async with self._limiter.slot(page.owner, page.timeout_s):
            connector = self.connector.within(page.key_domains)
            if page.url is not None:
                await connector.admit_url(page.url)
            chromium = await self.restarter.get()
            spec = SessionSpec(width=page.width, height=page.height, owner=page.owner)
            downloads = isinstance(action, Download)
            session = await chromium.open(spec, connector, max_tabs=1, downloads=downloads)
            try:
                rendered = await _visit(session, page, action)
            finally:
                await session.close()
        status = session.page_status
        return replace(rendered, engine=chromium.engine, device=DEVICE, page_status=status)

    async def open(self, spec: SessionSpec) -> ChromiumSession:
        """See `Browser`. It waits while Chromium starts, with no deadline of its own."""
        chromium = await self.restarter.get()
        return await chromium.open(spec, self.connector.within(spec.key_domains, spec.domains))

    async def chosen(self) -> Launch:
        """Say how browsers are started here; the sandbox of one has been proved."""
        return (await self.restarter.get()).chosen

    async def facts(self) -> dict[str, Any]:
        """See `Browser`. Raises `Unavailable` at once while no Chromium runs."""
        chromium = self.restarter.peek()
        processes = await chromium.processes()
        return {
            "device": DEVICE,
            "engine": chromium.engine,
            "sandbox": self._sandbox,
            "limits": chromium.chosen.cgroup.told(processes["browser"][0]),
            "isolation": isolation(chromium.chosen, processes["browser"][0]),
            "user": chromium.user,
            "processes": sum(map(len, processes.values())),
            "contexts": chromium.open_contexts,
            "active": self._limiter.active,
            "waiting": self._limiter.waiting,
            "restarts": self.restarter.starts - 1,
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
    late = min(page.timeout_s + 1, 120)  # the limiter's deadline comes first and says it better
    if page.html is not None:
        with translated():
            tab = session.tab(None)
            await tab.set_content(page.html, wait_until=page.wait_until, timeout=1000 * late)
        session.check(tab)
    elif page.url is not None:
        goto = Goto(url=page.url, wait_until=page.wait_until, timeout_s=late)
        await session.act(goto)
    return await session.act(action)
