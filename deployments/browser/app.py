"""Room browser: pages rendered by Chromium, away from the data."""

from typing import Any

from fastapi import APIRouter
from ray import serve

from autobot.serving.room import RoomReplica


@serve.deployment
@serve.ingress()
class Browser(RoomReplica):
    """Pages, sessions and protocol endpoints, each in a browser context of its own."""

    room = "browser"

    def __init__(self) -> None:
        super().__init__()
        # Serve imports this module on the head, where Playwright need not be installed.
        from deployments.browser.room import BrowserRoom

        replica = serve.get_replica_context().replica_id.unique_id.lower()
        self.browser = BrowserRoom.of(self.settings, replica)

    def router(self) -> APIRouter:
        return self.browser.router()

    async def facts(self) -> dict[str, Any]:
        return await self.browser.facts()


app = Browser.bind()
