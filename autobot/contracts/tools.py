"""Tools: what a room can do for an automation, an agent or an MCP client, each by its name.

A room describes its own tools and runs them; room main gathers them. Arguments and results are JSON
objects, so that whoever chose them (a person, a model, a file) needs no code of the room.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from autobot.errors import Forbidden, NotFound
from autobot.keys import KeyRecord

OnUnknown = Literal["retry", "ask", "fail"]
JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """A tool as others see it; ``arguments`` and ``result`` are JSON schemas of objects.

    ``scopes`` are those that a caller's key needs, all of them. ``on_unknown`` is what to do when
    nobody knows whether a call has had its effect: what only reads or computes is tried again.
    """

    name: str
    title: str
    description: str
    arguments: JsonObject
    result: JsonObject
    scopes: tuple[str, ...]
    reads_only: bool
    on_unknown: OnUnknown
    longest_s: float
    """The most seconds that one call may take."""

    def open_to(self, caller: KeyRecord) -> bool:
        """Whether the caller's key has all ``scopes``. Expiry is not looked at."""
        return all(caller.allows(scope) for scope in self.scopes)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call for ``caller``, whose key was looked up; ends after ``within_s`` seconds.

    ``idempotency_key`` is the same for every attempt at the same step of a run. ``secrets`` are
    values among the arguments that nothing may write down.
    """

    name: str
    arguments: JsonObject = field(repr=False)  # they may have secrets
    caller: KeyRecord
    within_s: float
    idempotency_key: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Tools(Protocol):
    async def describe(self) -> Sequence[ToolInfo]:
        """Every tool there is, whoever asks, in the order of their names."""
        ...

    async def run(self, call: ToolCall) -> JsonObject:
        """Return what the tool gave, an object under its ``result`` schema.

        Raises `NotFound`: no such tool. `Forbidden`: the caller's key lacks a scope. `Invalid`: an
        argument is wrong. `Timeout`: ``within_s`` have passed. Else what the tool itself raises.
        """
        ...


class FakeTools:
    """`Tools` of one tool that gives back its arguments; ``calls`` are those that came."""

    def __init__(self, info: ToolInfo) -> None:
        self._info = info
        self.calls: list[ToolCall] = []

    async def describe(self) -> Sequence[ToolInfo]:
        return [self._info]

    async def run(self, call: ToolCall) -> JsonObject:
        if call.name != self._info.name:
            raise NotFound(f"There is no tool '{call.name}'.")
        if not self._info.open_to(call.caller):
            raise Forbidden(f"This API key may not use the tool '{call.name}'.")
        self.calls.append(call)
        return dict(call.arguments)
