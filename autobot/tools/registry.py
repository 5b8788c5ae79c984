"""Every tool of every room, gathered from those that answer and remembered for the others."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog

from autobot.contracts.tools import JsonObject, ToolCall, ToolInfo, Tools
from autobot.errors import AutoBotError, NotFound, Timeout, Unavailable
from autobot.keys import KeyRecord

log = structlog.get_logger()

LONGEST_S = 610.0
"""Of any call; each tool has a bound of its own below this."""
DESCRIBED_WITHIN_S = 3.0
ANSWERED_WITHIN_S = 5.0
"""Beyond the time a call may take, and for how long a room may be away under a call: then nothing
will come of it."""
LOOK_EVERY_S = 1.0
FRESH_S = 10.0
"""How old a room's own description may be: rooms are updated one by one."""

Away = Callable[[str], str | None]
"""Why an application cannot answer now, or None; it asks nobody."""


class Registry:
    """Tools by name. An application that does not answer keeps the tools it last described."""

    def __init__(
        self,
        applications: Mapping[str, Tools],
        away: Away = lambda application: None,
        own_names: Callable[[str], Collection[str]] = lambda application: (application,),
        fresh_s: float = FRESH_S,
    ) -> None:
        """``applications`` are those that have tools, by their names in Serve. ``own_names`` says
        with what the names of an application's tools may begin, before the first dot."""
        self._applications = dict(applications)
        self._away, self._own_names = away, own_names
        self._fresh_s = fresh_s
        self._described: dict[str, Sequence[ToolInfo]] = {}
        self._described_at: float | None = None
        self._describing: asyncio.Future[None] | None = None

    def add(self, application: str, tools: Tools) -> None:
        """Have the tools of one more application."""
        self._applications[application] = tools

    async def tools(self) -> Sequence[ToolInfo]:
        """Every tool known, in the order of their names."""
        await self._known()
        known = [info for infos in self._described.values() for info in infos]
        return sorted(known, key=lambda info: info.name)

    @property
    def complete(self) -> bool:
        """Whether every application has described its tools."""
        return self._described.keys() >= self._applications.keys()

    async def allowed(self, caller: KeyRecord) -> Sequence[ToolInfo]:
        """Those of `tools` that the caller's key may use."""
        return [info for info in await self.tools() if info.open_to(caller)]

    async def run(self, call: ToolCall) -> JsonObject:
        """Run it where it is. Raises as `Tools.run`, and `Unavailable` when its room is away.

        A tool that the caller may not use is `NotFound`, as one that there is not.
        """
        await self._known()
        for application, infos in self._described.items():
            for info in infos:
                if info.name == call.name and info.open_to(call.caller):
                    return await self._run(application, call)
        raise NotFound(f"There is no tool '{call.name}' for this API key.")

    async def _run(self, application: str, call: ToolCall) -> JsonObject:
        """A call of a room that is away would wait for its return: Serve says nothing."""
        if reason := self._away(application):
            raise Unavailable(reason)
        running = asyncio.ensure_future(self._applications[application].run(call))
        ends = time.monotonic() + call.within_s + ANSWERED_WITHIN_S
        gone: float | None = None
        try:
            while not (await asyncio.wait({running}, timeout=LOOK_EVERY_S))[0]:
                now = time.monotonic()
                reason = self._away(application)
                gone = (gone or now) if reason else None
                if reason and gone is not None and now - gone >= ANSWERED_WITHIN_S:
                    raise Unavailable(reason)
                if now >= ends:
                    raise Timeout(f"{call.name} was not done within {call.within_s:g} s.")
            return running.result()
        finally:
            running.cancel()
            running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def refresh(self) -> None:
        """Ask the rooms anew. Questions that are under way may have been answered before."""
        if self._describing is not None:
            await asyncio.shield(self._describing)
        await asyncio.shield(self._ask())

    def _ask(self) -> asyncio.Future[None]:
        if self._describing is None or self._describing.done():
            self._describing = asyncio.ensure_future(self._describe_all())
        return self._describing

    async def _known(self) -> None:
        """See to it that something is known; what is old is asked anew, and nobody waits for it."""
        if self._described_at is None:
            await asyncio.shield(self._ask())
        elif time.monotonic() - self._described_at >= self._fresh_s:
            self._ask()

    async def _describe_all(self) -> None:
        await asyncio.gather(*map(self._describe, self._applications))
        self._described_at = time.monotonic()

    async def _describe(self, application: str) -> None:
        try:
            async with asyncio.timeout(DESCRIBED_WITHIN_S):
                infos = await self._applications[application].describe()
        except (AutoBotError, TimeoutError) as error:
            log.warning("tools.not_described", application=application, reason=str(error))
            return
        names = self._own_names(application)
        own = [info for info in infos if info.name.partition(".")[0] in names]
        if strange := [info.name for info in infos if info not in own]:
            log.warning("tools.names_of_other_rooms", application=application, names=strange)
        self._described[application] = own
