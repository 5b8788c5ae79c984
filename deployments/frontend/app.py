"""Room frontend: the web interface, on its own port and nowhere else."""

from pathlib import Path
from typing import Any

import ray
from fastapi import APIRouter
from ray import serve

from autobot.serving.room import RoomReplica
from deployments.frontend.routes import Platform, main_elsewhere, web_routes
from deployments.frontend.site import Site

DIST = Path(__file__).parent / "web" / "dist"


@serve.deployment
@serve.ingress()
class Frontend(RoomReplica):
    """Serves the built page; the page itself talks to room main's ingress."""

    room = "frontend"
    own_port = True

    def __init__(self) -> None:
        super().__init__()
        self.site = Site(DIST)
        self.platform = Platform(
            main=main_elsewhere(ray.get_runtime_context().gcs_address, self.address),
            http_port=self.settings.http_port,
            desktop_port=self.settings.desktop_port,
            public_api=self.settings.public_api,
        )

    async def facts(self) -> dict[str, Any]:
        """Return how many files the built page has. Raises `Unavailable` when it is not built."""
        return {"page_files": await self.site.check()}

    def router(self) -> APIRouter:
        return web_routes(self.site, self.platform)


app = Frontend.bind()
