"""What a replica of room browser is made of, and the order in which it starts and stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI

from autobot.contracts.profiles import Profiles
from autobot.settings import Settings
from deployments.browser.agent.agent import Agent
from deployments.browser.agent.api import task_routes
from deployments.browser.chat_model.driver import PlatformModel
from deployments.browser.chromium.driver import driver_command
from deployments.browser.chromium.isolation.memory import Meter, budget
from deployments.browser.chromium.service import ChromiumBrowser
from deployments.browser.engine import Browser
from deployments.browser.extract.api import extract_routes, without_extract
from deployments.browser.live.api import live_routes
from deployments.browser.pages.api import browser_routes
from deployments.browser.profiles.api import profile_routes
from deployments.browser.protocols.api import protocol_routes
from deployments.browser.protocols.service import Connections
from deployments.browser.sessions.api import session_routes
from deployments.browser.sessions.service import Sessions

LOOKED_EVERY_S = 0.5
"""At the keys of what runs: an expiry is told to nobody."""
Holds = Callable[[str], bool]
"""Whether the API key of this id is neither revoked nor expired."""

log = structlog.get_logger()


class BrowserRoom:
    """One browser, its sessions, and the routes around them.

    Sessions and tasks of a key that does not hold any more are ended.
    """

    def __init__(
        self,
        browser: Browser,
        sessions: Sessions,
        profiles: Profiles,
        connections: Connections | None = None,
        agent: Agent | None = None,
        holds: Holds = lambda key: True,
    ) -> None:
        self.browser = browser
        self.sessions = sessions
        self.profiles = profiles
        self.connections = connections
        self.agent = agent
        self._holds = holds

    @classmethod
    def of(
        cls,
        settings: Settings,
        replica: str,
        profiles: Profiles,
        ingress: str | None = None,
        holds: Holds = lambda key: True,
    ) -> "BrowserRoom":
        """``ingress`` is where the agent asks for models; this machine's own when not given."""
        browser = ChromiumBrowser(settings)
        meter = Meter(budget(settings.browser_memory_mib))
        sessions = Sessions(browser, replica, meter, settings.browser_sessions)
        connections = Connections(
            browser.chosen, driver_command(), browser.connector, sessions.admission, meter
        )
        agent = Agent(sessions, partial(PlatformModel, ingress or settings.api_url))
        return cls(browser, sessions, profiles, connections, agent, holds)

    def router(self) -> APIRouter:
        """Return every route of the room; they live as long as the application."""
        sessions = session_routes(self.sessions, self.profiles)
        others = [
            sessions,
            profile_routes(self.profiles),
            live_routes(self.sessions),
        ]
        if self.connections is not None:
            others.append(protocol_routes(self.connections))
        if self.agent is None:
            return browser_routes(self.browser, *others, running=self.running)
        without_extract(sessions)
        extracting = extract_routes(self.browser, self.sessions, self.agent.models)
        others += [task_routes(self.agent), extracting]
        return without_extract(browser_routes(self.browser, *others, running=self.running))

    @contextlib.asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Run the browser, the sessions and the watch over their keys: the application's lifespan.

        At its end tasks end first, then sessions, which save their profiles, and the browser last.
        """
        self.browser.start()
        self.sessions.start()
        watching = asyncio.get_running_loop().create_task(self._watch_keys())
        try:
            yield
        finally:
            watching.cancel()
            if self.agent is not None:
                await self.agent.close()
            await self.sessions.close()
            await self.browser.close()

    async def _watch_keys(self) -> None:
        """End what a key has left running, for ever."""
        while True:
            await asyncio.sleep(LOOKED_EVERY_S)
            owners = self.sessions.owners() | (self.agent.tasks.owners() if self.agent else set())
            for owner in owners:
                if not self._holds(owner):
                    try:
                        await self._end_all(owner)
                    except Exception as error:  # tried again; the other keys' end too
                        log.error("browser.not_ended", key=owner, exc_info=error)

    async def _end_all(self, owner: str) -> None:
        log.info("browser.key_ended", key=owner)
        if self.agent is not None:
            await self.agent.tasks.end_all(owner)
        await self.sessions.end_all(owner)

    async def facts(self) -> dict[str, Any]:
        """Return the browser's and the sessions' facts, with the numbers of connections and tasks.

        Raises as `Browser.facts` does when the browser is not well.
        """
        connections = self.connections.open_now if self.connections else 0
        facts = await self.browser.facts() | self.sessions.facts()
        tasks = self.agent.tasks.running if self.agent else 0
        return facts | {"connections": connections, "tasks": tasks}
