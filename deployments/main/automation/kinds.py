"""Steps are done by the rooms' tools, in the name of the automation's own API key, or by other
runs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import JsonValue

from autobot.automation.document import OnUnknown
from autobot.automation.runs.attempts import WaitFor, Work
from autobot.automation.runs.waits import CALL
from autobot.contracts.tools import ToolCall, ToolInfo
from autobot.errors import Forbidden, Invalid, Unavailable
from autobot.keys import KeyRing
from autobot.tools.registry import Registry
from deployments.main.automation.tools import PREFIX

Call = Callable[[Work], Awaitable[WaitFor]]


class ToolKinds:
    """`StepKinds` of the registry's tools; `knows` says what was there at the last `refresh`."""

    def __init__(self, registry: Registry, keys: KeyRing, call: Call) -> None:
        """``call`` starts another automation."""
        self._registry, self._keys, self._call = registry, keys, call
        self._infos: Mapping[str, ToolInfo] = {}

    @property
    def infos(self) -> Mapping[str, ToolInfo]:
        """The tools by name."""
        return self._infos

    @property
    def complete(self) -> bool:
        """Whether every room has described its tools since this program began."""
        return self._registry.complete

    async def refresh(self) -> None:
        """Ask the rooms anew; one that does not answer keeps its tools."""
        await self._registry.refresh()
        tools = await self._registry.tools()
        # Steps `call` automations, and hold nothing while they wait.
        self._infos = {info.name: info for info in tools if not info.name.startswith(PREFIX)}

    def knows(self, use: str) -> bool:
        return use == CALL or use in self._infos

    def on_unknown(self, use: str) -> OnUnknown:
        if use == CALL:
            return "retry"  # it is the same run again
        info = self._infos.get(use)
        return info.on_unknown if info else "ask"

    async def execute(self, work: Work) -> JsonValue | WaitFor:
        """Run the tool. Raises as it does, and `Forbidden` once the automation's key is gone."""
        if work.use == CALL:
            return await self._call(work)
        if not isinstance(work.arguments, Mapping):
            raise Invalid(f"{work.use} takes an object.")
        caller = self._keys.record(work.principal)
        if caller is None:  # it may have been made a moment ago
            if not await self._keys.refresh():
                raise Unavailable("This replica cannot ask for API keys now.")
            caller = self._keys.record(work.principal)
        if caller is None:
            raise Forbidden("The automation's API key was revoked; publish it again.")
        seconds = work.deadline - asyncio.get_running_loop().time()
        within_s = max(0.0, seconds)
        call = ToolCall(work.use, work.arguments, caller, within_s, work.key, work.secrets)
        running = asyncio.ensure_future(self._registry.run(call))
        cancelling = asyncio.ensure_future(work.cancel.wait())
        try:
            await asyncio.wait({running, cancelling}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise asyncio.CancelledError
            result: Any = dict(running.result())
            return result
        finally:
            running.cancel()
            # What nobody waits for may fail, and the event loop would log its words.
            running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            cancelling.cancel()
