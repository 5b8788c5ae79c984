"""Automations and runs as room main serves them: its own routes and engine, on the fake store."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from fastapi import FastAPI

from autobot.contracts.automations import FakeAutomations
from autobot.contracts.keys import FakeKeys
from autobot.contracts.runs import FakeRuns
from autobot.contracts.secrets import FakeSecrets
from autobot.contracts.tools import JsonObject, ToolCall, ToolInfo
from autobot.errors import Unavailable
from autobot.keys import KeyRecord, KeyRing
from autobot.tools.registry import Registry
from autobot.web.app import create_app
from deployments.main.automation.room import AutomationRoom


@dataclass
class Tools:
    """`test.echo` answers its arguments, `test.wait` once `gate` is set, `test.fail` while `broken`
    is false."""

    gate: threading.Event = field(default_factory=threading.Event)
    broken: bool = True

    async def describe(self) -> Sequence[ToolInfo]:
        anything = {"type": "object"}
        return [
            ToolInfo(f"test.{name}", name, "", anything, anything, ("npu",), True, "retry", 60.0)
            for name in ("echo", "wait", "fail")
        ]

    async def run(self, call: ToolCall) -> JsonObject:
        if call.name == "test.wait":
            await asyncio.to_thread(self.gate.wait, 30)
        if call.name == "test.fail" and self.broken:
            raise Unavailable("The shop is closed.")
        return dict(call.arguments)


class Automating:
    """What is kept outlives an application: the stand-in may go down and come back."""

    def __init__(self, records: Sequence[KeyRecord]) -> None:
        self.tools = Tools()
        self._automations, self._runs = FakeAutomations(), FakeRuns()
        self._keys = FakeKeys(list(records))

    def app(self) -> FastAPI:
        """Room main's routes of automations, with their engine while it is served."""
        ring = KeyRing(self._keys.records)
        registry = Registry({"test": self.tools})
        room = AutomationRoom(
            self._automations,
            self._runs,
            self._keys,
            ring,
            registry,
            ring.refresh,
            FakeSecrets(),
        )

        @contextlib.asynccontextmanager
        async def ready(app: FastAPI) -> AsyncIterator[None]:
            await ring.refresh()
            await room.kinds.refresh()
            yield

        return create_app("main", [room.router()], ring, lifespan=ready)
