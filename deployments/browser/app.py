"""Room browser: pages rendered by Chromium, away from the data."""

from typing import Any

from fastapi import APIRouter
from ray import serve

from autobot.serving.room import RoomReplica


@serve.deployment
@serve.ingress()
class Browser(RoomReplica):
    """Screenshots and PDFs of pages, each in a browser context of its own."""

    room = "browser"

    def __init__(self) -> None:
        super().__init__()
        # Serve imports this module on the head, where Playwright need not be installed.
        from deployments.browser.oneshot import ChromiumBrowser

        self.browser = ChromiumBrowser(self.settings)

    def router(self) -> APIRouter:
        from deployments.browser.routes import browser_routes

        return browser_routes(self.browser)

    async def facts(self) -> dict[str, Any]:
        return await self.browser.facts()


app = Browser.bind()
