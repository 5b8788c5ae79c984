"""Tools that do as they are told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import JsonValue

from autobot.automation.document import Automation, OnUnknown
from autobot.automation.runs.attempts import Work
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.secrets import FakeSecrets
from autobot.errors import AutoBotError

Tool = Callable[[Any, str, asyncio.Event], Awaitable[JsonValue]]


class Tools:
    """`StepKinds` made of functions of arguments, key and cancel."""

    def __init__(self, **tools: Tool) -> None:
        self.tools = tools
        self.policy: OnUnknown = "retry"

    def knows(self, use: str) -> bool:
        return use in self.tools

    def on_unknown(self, use: str) -> OnUnknown:
        return self.policy

    async def execute(self, work: Work) -> JsonValue:
        return await self.tools[work.use](work.arguments, work.key, work.cancel)


def automation(*steps: dict[str, Any], **more: Any) -> Automation:
    """A document of these steps."""
    return Automation.model_validate({"name": "test", "steps": steps, **more})


def act(step: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    """A step that takes so long."""
    arguments = {"seconds": seconds} | more.pop("arguments", {})
    return {"id": step, "use": "act", "with": arguments} | more


def approve(step: str, **more: Any) -> dict[str, Any]:
    """A step that waits for a person."""
    return {"id": step, "use": "approve", "with": {"message": "?"}} | more


async def keeping(**values: str) -> RunSecrets:
    """Secrets of these values."""
    store = FakeSecrets()
    for name, value in values.items():
        await store.set(name, value, "me")
    return RunSecrets(store.open)


def failing(error: AutoBotError, times: int = 1_000) -> Any:
    """A tool that raises so many times, then returns."""
    left = [times]

    async def fail(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return "ok"

    return fail
