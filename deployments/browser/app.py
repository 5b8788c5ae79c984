"""Room browser: pages rendered by Chromium, away from the data."""

from collections.abc import Sequence
from typing import Any

import ray
from fastapi import APIRouter
from ray import serve
from starlette.middleware import Middleware

from autobot.contracts.profiles import Profiles
from autobot.contracts.tools import Tools
from autobot.platform.topology import cluster_file
from autobot.serving.calls import client, serves
from autobot.serving.room import RoomReplica
from autobot.tools.tool import ToolSet

NO_PROFILES = "Room redis does not answer about profiles: {}"


@serve.deployment
@serve.ingress()
@serves(Tools)
class Browser(RoomReplica):
    """Pages, sessions and protocol endpoints, each in a browser context of its own."""

    room = "browser"

    def __init__(self) -> None:
        super().__init__()
        # Serve imports this module on the head, where Playwright need not be installed.
        from deployments.browser.affinity.session_ids import replica_name
        from deployments.browser.outside.tools import outside_tools
        from deployments.browser.pages.tools import page_tools
        from deployments.browser.room import BrowserRoom

        unique = serve.get_replica_context().replica_id.unique_id.lower()
        replica = replica_name(self.address, unique)
        profiles = client(Profiles, "redis", NO_PROFILES)
        self.browser = BrowserRoom.of(
            self.settings, replica, profiles, self._ingress(), self.keys.holds
        )
        self.tools = ToolSet([*page_tools(self.browser.browser), *outside_tools(self.settings)])

    def _ingress(self) -> str:
        """Where the platform's API is: Ray's control store runs on the head, and so does it."""
        main = ray.get_runtime_context().gcs_address.rpartition(":")[0]
        if main in (self.address, "127.0.0.1", "localhost"):
            return self.settings.api_url
        return f"http://{main}:{self.settings.http_port}"

    def router(self) -> APIRouter:
        return self.browser.router()

    def middleware(self) -> Sequence[Middleware]:
        from deployments.browser.affinity.peer_client import peers_client
        from deployments.browser.affinity.router import AffinityRouter
        from deployments.browser.affinity.session_ids import OtherVms

        return [
            Middleware(
                AffinityRouter,
                others=OtherVms(self.address, self.settings.browser_port, cluster_file()),
                client=peers_client(),
            )
        ]

    async def facts(self) -> dict[str, Any]:
        return await self.browser.facts()


app = Browser.bind()
