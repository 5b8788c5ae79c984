"""Expressions without expressions, and tools that do as they are told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import JsonValue

from autobot.automation.document import Automation, OnUnknown
from autobot.errors import Invalid


class Plain:
    """`Expressions` where ``$steps.a.n`` alone is an expression: a path into the names."""

    def render(self, value: JsonValue, names: Mapping[str, Any]) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            found: Any = names
            for part in value[1:].split("."):
                if not isinstance(found, Mapping) or part not in found:
                    raise Invalid(f"There is no {value}.")
                found = found[part]
            return found
        if isinstance(value, dict):
            return {key: self.render(of, names) for key, of in value.items()}
        return value

    def holds(self, condition: str | bool, names: Mapping[str, Any]) -> bool:
        return bool(self.render(condition, names))


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

    async def execute(
        self, use: str, arguments: JsonValue, key: str, deadline: float, cancel: asyncio.Event
    ) -> JsonValue:
        return await self.tools[use](arguments, key, cancel)


def automation(*steps: dict[str, Any], **more: Any) -> Automation:
    """A document of these steps."""
    return Automation.model_validate({"name": "test", "steps": steps, **more})
