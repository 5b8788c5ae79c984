"""Runs that something starts which the platform tells: a room that is down, a run that failed."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from autobot.automation.document import Automation
from autobot.automation.expressions import holds, resolve
from autobot.automation.inputs import fill_in
from autobot.automation.triggers import Event, EventKind
from autobot.contracts.automations import Automations, Kept
from autobot.errors import AutoBotError, Unavailable
from deployments.main.automation.starts import MOST_DEPTH, Starts, Trigger

log = structlog.get_logger()

STEADY_LOOKS = 3
"""A room's state counts once it was seen so often in a row."""

RoomStates = Callable[[], Mapping[str, tuple[str, str | None]]]
"""Each room's state and its reason, as the health monitor has it."""


class Events:
    """Starts what waits for an event. The same event again starts nothing again."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts

    async def happened(
        self,
        kind: EventKind,
        event: str,
        facts: Mapping[str, Any],
        depth: int = 0,
        besides: str = "",
    ) -> None:
        """Start every automation that waits for such an event.

        ``event`` is its id. ``facts`` is what ``trigger`` means to expressions; ``depth`` counts
        the runs that led to it. ``besides`` is an automation that is not told.
        """
        if depth >= MOST_DEPTH:
            log.warning("automation.event_left", kind=kind, event=event, reason="runs in a circle")
            return
        for kept in await self._starts.automations.all():
            automation = await self._starts.published(kept) if kept.enabled else None
            if automation is None or kept.name == besides:
                continue
            for name, trigger in automation.triggers.named().items():
                if isinstance(trigger, Event) and trigger.kind == kind:
                    await self._start(kept, automation, name, trigger, event, facts, depth)

    async def _start(
        self,
        kept: Kept,
        automation: Automation,
        name: str,
        trigger: Event,
        event: str,
        facts: Mapping[str, Any],
        depth: int,
    ) -> None:
        """A run that cannot be made is logged: an event has nobody who could be told."""
        started = Trigger(name, facts={**facts, "kind": trigger.kind, "event": event})
        scope = {"trigger": started.values()}
        try:
            if trigger.condition is not None and not holds(trigger.condition, scope):
                return
            inputs = fill_in(automation.inputs, resolve(dict(trigger.inputs), scope))
            digest = hashlib.sha256(f"{name}\n{event}".encode()).hexdigest()[:24]
            run = f"{kept.name}-{digest}"
            new = self._starts.new_run(kept, automation, run, inputs, started, depth=depth + 1)
            await self._starts.make(automation, new)
        except Unavailable:
            raise
        except AutoBotError as error:
            log.warning("automation.event_not_taken", automation=kept.name, reason=error.detail)


class RoomEvents:
    """Tells when a room is down and when it is up again.

    Several replicas watch; what the platform was told last is kept, so that each change is told
    once, also when it happened while nobody watched.
    """

    def __init__(self, automations: Automations, events: Events, states: RoomStates) -> None:
        self._automations, self._events, self._states = automations, events, states
        self._seen: dict[str, tuple[str, int]] = {}
        self._own: dict[str, str] = {}

    async def turn(self) -> None:
        """Look once at every room."""
        for room, (state, reason) in self._states().items():
            level = "down" if state == "down" else "up"
            before, looks = self._seen.get(room, (level, 0))
            looks = looks + 1 if before == level else 1
            self._seen[room] = level, min(looks, STEADY_LOOKS)
            if looks >= STEADY_LOOKS and self._own.get(room) != level:
                await self._changed(room, level, reason)
                self._own[room] = level

    async def _changed(self, room: str, level: str, reason: str | None) -> None:
        noted = await self._automations.noted(f"room:{room}")
        if noted.value == level:
            return
        if noted.value:  # the first time nothing has changed
            kind: EventKind = "room-down" if level == "down" else "room-up"
            facts = {"room": room, "reason": reason or ""}
            await self._events.happened(kind, f"{room}-{noted.count + 1}", facts)
        await self._automations.note(f"room:{room}", noted.count, level)
