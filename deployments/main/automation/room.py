"""The automation engine of room main: what it is made of, and how it starts and stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from fastapi import APIRouter, FastAPI

from autobot.automation.runs.engine import Engine
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.automations import Automations
from autobot.contracts.keys import Keys
from autobot.contracts.runs import Runs
from autobot.contracts.secrets import Secrets
from autobot.keys import KeyRing
from autobot.tools.registry import Registry
from deployments.main.automation.api import automation_routes, run_routes
from deployments.main.automation.calls import Calls
from deployments.main.automation.ends import Ends
from deployments.main.automation.events import Events, RoomEvents, RoomStates
from deployments.main.automation.hooks import HookSecrets, hook_routes
from deployments.main.automation.kinds import ToolKinds
from deployments.main.automation.scheduler import Scheduler
from deployments.main.automation.service import AutomationService, KeysChanged
from deployments.main.automation.starts import Starts
from deployments.main.automation.tools import AutomationTools

TOOLS_EVERY_S = 15.0
FIRES_EVERY_S = 0.5
ENDS_EVERY_S = 0.5
ROOMS_EVERY_S = 1.0
PRUNE_EVERY_S = 60.0
"""Of all automations; each replica does it, and what one has deleted is gone for the other."""

log = structlog.get_logger()


class AutomationRoom:
    """Routes, engine and scheduler over one store."""

    def __init__(
        self,
        automations: Automations,
        runs: Runs,
        keys: Keys,
        ring: KeyRing,
        registry: Registry,
        keys_changed: KeysChanged,
        secrets: Secrets,
        room_states: RoomStates = dict,
        hooks: HookSecrets | None = None,
    ) -> None:
        """``hooks`` has the secrets of webhooks; without it there are none."""
        self.starts = Starts(automations, runs, lambda: self.engine.wake())
        calls = Calls(self.starts)
        self.kinds = ToolKinds(registry, ring, calls.start)
        self.service = AutomationService(self.starts, keys, self.kinds, keys_changed, secrets)
        opened = RunSecrets(secrets.open)
        self.engine = Engine(runs, self.kinds, self.starts.version, secrets=opened)
        self.scheduler = Scheduler(self.starts)
        events = Events(self.starts)
        self.ends = Ends(self.starts, self.service, calls, events)
        self.room_events = RoomEvents(automations, events, room_states)
        self.tools = AutomationTools(self.starts)
        self._hooks = hooks
        self._runs = runs

    def router(self) -> APIRouter:
        """Every route; they live as long as the application, and so does the engine."""
        router = APIRouter(lifespan=self._running)
        router.include_router(automation_routes(self.service, self.starts))
        router.include_router(run_routes(self.starts))
        if self._hooks:
            router.include_router(hook_routes(self.starts, self._hooks))
        return router

    @contextlib.asynccontextmanager
    async def _running(self, app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        tasks = [
            asyncio.create_task(loop)
            for loop in (
                self.engine.run(stop),
                take_turns(self.kinds.refresh, TOOLS_EVERY_S, stop),
                take_turns(self.scheduler.turn, FIRES_EVERY_S, stop),
                take_turns(self.ends.turn, ENDS_EVERY_S, stop),
                take_turns(self.room_events.turn, ROOMS_EVERY_S, stop),
                take_turns(self._prune, PRUNE_EVERY_S, stop),
            )
        ]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _prune(self) -> bool:
        return await self._runs.prune() > 0


async def take_turns(
    turn: Callable[[], Awaitable[bool | None]], pause_s: float, stop: asyncio.Event
) -> None:
    """Take turns until ``stop`` is set: at once while one says that there is more, else after a
    pause. No turn is cancelled: Redis' client may not notice that it was."""
    while not stop.is_set():
        more = False
        try:
            more = await turn()
        except Exception as error:  # the next turn is a new chance
            log.warning("automation.turn_failed", turn=turn.__qualname__, reason=repr(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0 if more else pause_s)
