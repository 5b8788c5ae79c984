"""A room of an owner's own: it greets."""

from typing import Any

from fastapi import APIRouter, Depends
from ray import serve

from autobot.serving.room import RoomReplica
from autobot.web.auth import require


@serve.deployment
@serve.ingress()
class Greeter(RoomReplica):
    """Greets whoever has a key of its scope."""

    room = "greeter"

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api/greeter")

        @router.get("")
        async def about() -> str:
            return "Ask for /api/greeter/NAME."

        @router.get("/{name}", dependencies=[Depends(require("greeter"))])
        async def greet(name: str) -> dict[str, str]:
            """Return a greeting."""
            return {"greeting": f"Hello, {name}."}

        return router

    async def facts(self) -> dict[str, Any]:
        return {"language": "en"}


app = Greeter.bind()
