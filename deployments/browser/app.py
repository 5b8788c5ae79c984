"""Room browser: pages rendered by Chromium, away from the data."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import ray
from fastapi import APIRouter
from ray import serve
from starlette.middleware import Middleware

from autobot.cluster.topology import cluster_file
from autobot.serving.room import RoomReplica

NO_PROFILES = "Room redis does not answer about profiles: {}"


class RemoteProfiles:
    """Serves `ProfileStore` by calls to room redis, since this room has no Redis user."""

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        """``ask`` takes the name of a call of `ProfileStore`, and what it takes."""
        self._ask = ask

    async def take(
        self, owner: str, name: str, token: str, lease_s: float
    ) -> tuple[str, bytes | None]:
        return await self._ask("take", owner, name, token, lease_s)

    async def renew(self, owner: str, name: str, token: str, lease_s: float) -> str:
        return await self._ask("renew", owner, name, token, lease_s)

    async def save(self, owner: str, name: str, token: str, sealed: bytes) -> str:
        return await self._ask("save", owner, name, token, sealed)

    async def release(self, owner: str, name: str, token: str) -> None:
        await self._ask("release", owner, name, token)

    async def list(self, owner: str) -> list[dict[str, Any]]:
        return await self._ask("list", owner)

    async def delete(self, owner: str, name: str) -> str:
        return await self._ask("delete", owner, name)


@serve.deployment
@serve.ingress()
class Browser(RoomReplica):
    """Pages, sessions and protocol endpoints, each in a browser context of its own."""

    room = "browser"

    def __init__(self) -> None:
        super().__init__()
        # Serve imports this module on the head, where Playwright need not be installed.
        from deployments.browser.places import replica_name
        from deployments.browser.room import BrowserRoom

        unique = serve.get_replica_context().replica_id.unique_id.lower()
        replica = replica_name(self.address, unique)
        profiles = RemoteProfiles(partial(self.ask_redis, NO_PROFILES, "profiles"))
        self.browser = BrowserRoom.of(
            self.settings, replica, profiles, self._ingress(), self.keys.holds
        )

    def _ingress(self) -> str:
        """Where the platform's API is: Ray's control store runs on the head, and so does it."""
        main = ray.get_runtime_context().gcs_address.rpartition(":")[0]
        if main in (self.address, "127.0.0.1", "localhost"):
            return self.settings.api_url
        return f"http://{main}:{self.settings.http_port}"

    def router(self) -> APIRouter:
        return self.browser.router()

    def middleware(self) -> Sequence[Middleware]:
        from deployments.browser.peers import Peers
        from deployments.browser.places import OtherVms
        from deployments.browser.wire import peers_client

        return [
            Middleware(
                Peers,
                others=OtherVms(self.address, self.settings.browser_port, cluster_file()),
                client=peers_client(),
            )
        ]

    async def facts(self) -> dict[str, Any]:
        return await self.browser.facts()


app = Browser.bind()
