"""What a replica of room browser is made of, and the order in which it starts and stops."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI

from autobot.settings import Settings
from deployments.browser.chromium import ChromiumBrowser
from deployments.browser.connections import Connections
from deployments.browser.driver import driver_command
from deployments.browser.engine import Browser
from deployments.browser.memory import Meter, machine
from deployments.browser.routes import browser_routes
from deployments.browser.routes_live import live_routes
from deployments.browser.routes_protocols import protocol_routes
from deployments.browser.routes_sessions import session_routes
from deployments.browser.sessions import Sessions


class BrowserRoom:
    """One browser, its sessions, and the routes around them."""

    def __init__(
        self, browser: Browser, sessions: Sessions, connections: Connections | None = None
    ) -> None:
        self.browser = browser
        self.sessions = sessions
        self.connections = connections

    @classmethod
    def of(cls, settings: Settings, replica: str) -> "BrowserRoom":
        browser = ChromiumBrowser(settings)
        mib = settings.browser_memory_mib
        meter = Meter(mib << 20 if mib else machine() // 2)
        sessions = Sessions(browser, replica, meter, settings.browser_sessions)
        connections = Connections(
            browser.chosen, driver_command(), browser.dialer, sessions.lobby, meter
        )
        return cls(browser, sessions, connections)

    def router(self) -> APIRouter:
        """Return every route of the room; they live as long as the application."""
        others = [session_routes(self.sessions), live_routes(self.sessions)]
        if self.connections is not None:
            others.append(protocol_routes(self.connections))
        return browser_routes(self.browser, *others, running=self.running)

    @contextlib.asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        self.browser.start()
        self.sessions.start()
        try:
            yield
        finally:
            await self.sessions.close()
            await self.browser.close()

    async def facts(self) -> dict[str, Any]:
        connections = self.connections.open_now if self.connections else 0
        facts = await self.browser.facts() | self.sessions.facts()
        return facts | {"connections": connections}
