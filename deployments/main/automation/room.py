"""The automation engine of room main: what it is made of, and how it starts and stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI

from autobot.automation.runs.engine import Engine
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.automations import Automations
from autobot.contracts.keys import Keys
from autobot.contracts.runs import Runs
from autobot.contracts.secrets import Secrets
from autobot.errors import Unavailable
from autobot.keys import KeyRing
from autobot.tools.registry import Registry
from deployments.main.automation.api import automation_routes, run_routes
from deployments.main.automation.kinds import ToolKinds
from deployments.main.automation.scheduler import Scheduler
from deployments.main.automation.service import AutomationService, KeysChanged

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
    ) -> None:
        self.kinds = ToolKinds(registry, ring)
        self.service = AutomationService(
            automations, runs, keys, lambda: self.kinds.infos, keys_changed, secrets, self._wake
        )
        opened = RunSecrets(secrets.open)
        self.engine = Engine(runs, self.kinds, self.service.version, secrets=opened)
        self.scheduler = Scheduler(self.service)
        self._runs = runs

    def _wake(self) -> None:
        self.engine.wake()

    def router(self) -> APIRouter:
        """Every route; they live as long as the application, and so does the engine."""
        router = APIRouter(lifespan=self._running)
        router.include_router(automation_routes(self.service))
        router.include_router(run_routes(self.service))
        return router

    @contextlib.asynccontextmanager
    async def _running(self, app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        engine = asyncio.create_task(self.engine.run(stop))
        loops: list[Coroutine[Any, Any, None]] = [
            self.kinds.stay_fresh(),
            self.scheduler.run(),
            self._prune(),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            stop.set()
            await asyncio.gather(engine, *tasks, return_exceptions=True)

    async def _prune(self) -> None:
        """Delete old runs for ever."""
        while True:
            try:
                while await self._runs.prune():
                    pass
            except Unavailable as error:
                log.warning("automation.not_pruned", reason=error.detail)
            await asyncio.sleep(PRUNE_EVERY_S)
