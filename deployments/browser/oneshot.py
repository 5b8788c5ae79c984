"""The room's browser: bounded one-shot jobs in a Chromium that is kept alive."""

from typing import Any

from autobot.settings import Settings
from deployments.browser.dial import Dialer, own_addresses, unreachable
from deployments.browser.driver import Chromium
from deployments.browser.egress import Policy, parse_allowed, target_of
from deployments.browser.engine import Page, PdfJob, Rendered, ScreenshotJob
from deployments.browser.gate import Gate
from deployments.browser.keeper import Keeper
from deployments.browser.proxy import EgressProxy

DEVICE = "CPU"  # launch.FLAGS turns graphics hardware off, so this is a fact and not a guess


class ChromiumBrowser:
    """Serves the `Browser` contract with a real Chromium."""

    def __init__(self, settings: Settings, dialer: Dialer | None = None) -> None:
        allowed = parse_allowed(settings.browser_allow)
        self._dialer = dialer or Dialer(Policy(allowed, own_addresses()))
        self._sandbox = "off" if settings.browser_no_sandbox else "on"
        self._gate = Gate(settings.browser_concurrency, 4 * settings.browser_concurrency)
        self.keeper: Keeper[Chromium] = Keeper(lambda: Chromium.start(settings))

    def start(self) -> None:
        self.keeper.begin()

    async def close(self) -> None:
        await self.keeper.close()

    async def screenshot(self, job: ScreenshotJob) -> Rendered:
        return await self._run(job, f"image/{job.format}")

    async def pdf(self, job: PdfJob) -> Rendered:
        return await self._run(job, "application/pdf")

    async def _run(self, job: ScreenshotJob | PdfJob, media_type: str) -> Rendered:
        async with self._gate.slot(job.page.timeout_s):
            await self._admit(job.page)
            chromium = await self.keeper.get()
            proxy = EgressProxy(self._dialer.open)
            try:
                body, status = await chromium.render(job, proxy)
            finally:
                await proxy.close()
        return Rendered(body, media_type, chromium.engine, DEVICE, status)

    async def _admit(self, page: Page) -> None:
        """Refuse a hopeless URL before a context is spent on it; the proxy checks it again."""
        if page.url is None:
            return
        target = target_of(page.url)
        try:
            await self._dialer.admit(target)
        except (OSError, TimeoutError) as error:
            raise unreachable(target, error) from error

    async def facts(self) -> dict[str, Any]:
        chromium = self.keeper.peek()
        processes = await chromium.processes()
        return {
            "device": DEVICE,
            "engine": chromium.engine,
            "sandbox": self._sandbox,
            "user": chromium.user,
            "processes": sum(map(len, processes.values())),
            "active": self._gate.active,
            "waiting": self._gate.waiting,
            "restarts": self.keeper.starts - 1,
        }
