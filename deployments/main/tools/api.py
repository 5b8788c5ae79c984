"""`/api/tools`: what automations, agents and MCP clients can use."""

from typing import Annotated

from fastapi import APIRouter, Depends

from autobot.keys import KeyRecord
from autobot.tools.registry import Registry
from autobot.web.auth import require
from deployments.main.tools.schemas import ToolDescription, described

Caller = Annotated[KeyRecord, Depends(require("automation"))]


def tool_routes(registry: Registry) -> APIRouter:
    """The route that lists the registry."""
    router = APIRouter(tags=["automations"])

    @router.get("/api/tools")
    async def list_tools(caller: Caller) -> list[ToolDescription]:
        """List every tool of every room, by name, also those that need scopes which the key lacks.
        A room that is away keeps the tools it last told of."""
        return [described(info) for info in await registry.tools()]

    return router
