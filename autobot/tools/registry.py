"""Every tool of every room, gathered from those that answer and remembered for the others."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from autobot.contracts.tools import JsonObject, ToolCall, ToolInfo, Tools
from autobot.errors import AutoBotError, NotFound, Timeout
from autobot.keys import KeyRecord

log = structlog.get_logger()

LONGEST_S = 3600.0
"""Of any call; each tool has a bound of its own below this."""
DESCRIBED_WITHIN_S = 3.0
ANSWERED_WITHIN_S = 5.0
"""Beyond the time a call may take: then its room is away."""
FRESH_S = 10.0
"""How old a room's own description may be: rooms are updated one by one."""


class Registry:
    """Tools by name. An application that does not answer keeps the tools it last described."""

    def __init__(self, applications: Mapping[str, Tools], fresh_s: float = FRESH_S) -> None:
        """``applications`` are those that have tools, by their names in Serve."""
        self._applications = applications
        self._fresh_s = fresh_s
        self._described: dict[str, Sequence[ToolInfo]] = {}
        self._described_at: float | None = None
        self._describing = asyncio.Lock()

    async def tools(self) -> Sequence[ToolInfo]:
        """Every tool known, in the order of their names."""
        await self._refresh()
        known = [info for infos in self._described.values() for info in infos]
        return sorted(known, key=lambda info: info.name)

    async def allowed(self, caller: KeyRecord) -> Sequence[ToolInfo]:
        """Those of `tools` that the caller's key may use."""
        tools = await self.tools()
        return [info for info in tools if all(caller.allows(scope) for scope in info.scopes)]

    async def run(self, call: ToolCall) -> JsonObject:
        """Run it where it is. Raises as `Tools.run`, and `Unavailable` when its room is away.

        A tool that the caller may not use is `NotFound`, as one that there is not.
        """
        await self._refresh()
        for application, infos in self._described.items():
            for info in infos:
                if info.name == call.name and all(call.caller.allows(s) for s in info.scopes):
                    return await self._run(self._applications[application], call)
        raise NotFound(f"There is no tool '{call.name}' for this API key.")

    async def _run(self, tools: Tools, call: ToolCall) -> JsonObject:
        try:
            async with asyncio.timeout(call.within_s + ANSWERED_WITHIN_S):
                return await tools.run(call)
        except TimeoutError:
            raise Timeout(f"{call.name} was not done within {call.within_s:g} s.") from None

    async def _refresh(self) -> None:
        async with self._describing:
            now = time.monotonic()
            if self._described_at is not None and now - self._described_at < self._fresh_s:
                return
            await asyncio.gather(*map(self._describe, self._applications))
            self._described_at = time.monotonic()

    async def _describe(self, application: str) -> None:
        try:
            async with asyncio.timeout(DESCRIBED_WITHIN_S):
                self._described[application] = await self._applications[application].describe()
        except (AutoBotError, TimeoutError) as error:
            log.warning("tools.not_described", application=application, reason=str(error))
