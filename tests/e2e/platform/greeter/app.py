"""A room of an owner's own: it greets."""

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from ray import serve

from autobot.contracts.tools import ToolCall, Tools
from autobot.serving.calls import serves
from autobot.serving.room import RoomReplica
from autobot.tools.tool import Arguments, Tool, ToolSet
from autobot.web.auth import require


class Name(Arguments):
    name: str


class Greeting(BaseModel):
    greeting: str


async def greet(given: Name, call: ToolCall) -> Greeting:
    return Greeting(greeting=f"Hello, {given.name}.")


GREET = Tool(
    name="greeter.greet",
    title="Greet",
    description="Greet a person by name.",
    arguments=Name,
    result=Greeting,
    run=greet,
    scopes=("greeter",),
)


@serve.deployment
@serve.ingress()
@serves(Tools)
class Greeter(RoomReplica):
    """Greets whoever has a key of its scope."""

    room = "greeter"

    def __init__(self) -> None:
        super().__init__()
        self.tools = ToolSet([GREET])

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
