"""Automations with an `mcp` trigger, as tools of models."""

import asyncio
from collections.abc import Sequence
from typing import Any

from autobot.automation.document import Automation
from autobot.automation.inputs import fill_in
from autobot.automation.runs.journal import decoded
from autobot.automation.runs.state import fold
from autobot.contracts.runs import ENDED
from autobot.contracts.tools import JsonObject, ToolCall, ToolInfo
from autobot.errors import NotFound
from deployments.main.automation.calls import outputs
from deployments.main.automation.starts import Starts, Trigger, run_name

PREFIX = "automation."
LONGEST_S = 300.0
"""A model waits so long; the run goes on."""
LOOK_EVERY_S = 0.25
RESULT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "run": {"type": "string"},
        "state": {"type": "string", "description": "As of any run; it may go on after the call."},
        "steps": {"type": "object", "description": "The result of each step that has one."},
        "error": {"type": ["object", "null"]},
    },
    "required": ["run", "state", "steps"],
}


class AutomationTools:
    """`Tools` of the automations that are on and say that a model may start them."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts

    async def describe(self) -> Sequence[ToolInfo]:
        found: list[ToolInfo] = []
        for kept in await self._starts.automations.all():
            automation = await self._starts.published(kept) if kept.enabled else None
            if automation and automation.triggers.mcp:
                found.append(_info(automation, automation.triggers.mcp.description))
        return found

    async def run(self, call: ToolCall) -> JsonObject:
        """Start a run and wait for its end, or until the caller's time is over."""
        name = call.name.removeprefix(PREFIX)
        _, automation = await self._starts.on(name)
        if automation.triggers.mcp is None:
            raise NotFound(f"There is no tool '{call.name}'.")
        run = run_name(name, call.caller.id, call.idempotency_key)
        inputs = fill_in(automation.inputs, call.arguments)
        await self._starts.start(name, run, inputs, Trigger("mcp", call.caller.id))
        ends = asyncio.get_running_loop().time() + min(call.within_s, LONGEST_S) - LOOK_EVERY_S
        while True:
            shown = await self._starts.runs.get(run)
            over = shown is None or shown.state in ENDED
            if over or asyncio.get_running_loop().time() >= ends:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        state = fold(decoded(await self._starts.journal(run)))
        error = state.ended.error if state.ended else None
        return {
            "run": run,
            "state": shown.state if shown else "cancelled",
            "steps": outputs(state),
            "error": dict(error) if error else None,
        }


def _info(automation: Automation, description: str) -> ToolInfo:
    schemas = {
        name: one.model_dump(mode="json", by_alias=True, exclude_unset=True)
        for name, one in automation.inputs.items()
    }
    needed = [name for name, one in automation.inputs.items() if one.required]
    arguments = {
        "type": "object",
        "properties": schemas,
        "required": needed,
        "additionalProperties": False,
    }
    return ToolInfo(
        name=f"{PREFIX}{automation.name}",
        title=automation.name,
        description=description,
        arguments=arguments,
        result=RESULT,
        scopes=("automation",),
        reads_only=False,
        on_unknown="ask",
        longest_s=LONGEST_S,
    )
