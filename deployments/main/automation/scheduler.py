"""Runs that a clock starts. Any number of replicas may do this at once: see `Runs.fire`."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog

from autobot.automation.document import Automation
from autobot.automation.expressions import resolve
from autobot.automation.inputs import fill_in
from autobot.automation.schedule import due, next_fires, run_id
from autobot.automation.triggers import Schedule
from autobot.contracts.automations import Kept
from autobot.contracts.runs import Fire, NewRun
from autobot.errors import AutoBotError
from deployments.main.automation.service import milliseconds, schedule_name, schedules
from deployments.main.automation.starts import Starts, Trigger

log = structlog.get_logger()

TOGETHER = 250
"""Fires taken at once; more wait for the next look, which then comes at once."""


class Scheduler:
    """Starts runs at their instants."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self._restored = False

    async def turn(self) -> bool:
        """Start what is due now. Return whether there may be more."""
        if not self._restored:
            await self.restore()
            self._restored = True
        return await self.tick(datetime.now(UTC)) == TOGETHER

    async def restore(self) -> None:
        """Set the next instants that are missing, and hold what is off: whoever published or
        switched it off may have died before."""
        for kept in await self._starts.automations.all():
            held = not kept.enabled
            await self._starts.runs.hold(kept.name, held, revision=kept.write)
            automation = await self._starts.published(kept) if kept.enabled else None
            for trigger, schedule in schedules(automation).items() if automation else ():
                for fire in next_fires(schedule, datetime.now(UTC), 1):
                    name = schedule_name(kept.name, trigger)
                    await self._starts.runs.schedule(
                        name, milliseconds(fire), revision=kept.write, keep=True
                    )

    async def tick(self, now: datetime) -> int:
        """Start what is due at ``now``; return how many schedules were due."""
        fires = await self._starts.runs.fires(TOGETHER)
        if not fires:
            return 0
        known = {kept.name: kept for kept in await self._starts.automations.all()}
        outcomes = await asyncio.gather(
            *(self._fire(fire, now, known) for fire in fires), return_exceptions=True
        )
        for fire, outcome in zip(fires, outcomes, strict=True):
            if isinstance(outcome, BaseException):  # it stays due
                log.warning("automation.not_fired", schedule=fire.schedule, reason=repr(outcome))
        self._starts.wake()
        return len(fires)

    async def _fire(self, fire: Fire, now: datetime, known: Mapping[str, Kept]) -> None:
        name, _, trigger = fire.schedule.rpartition(":")
        if name in known and await self._starts.is_unreadable(known[name]):
            return  # it stays due, for the program that has published it
        found = await self._published(known.get(name), trigger)
        if found is None:
            await self._starts.runs.fire(fire, None, None)
            return
        kept, automation, schedule = found
        first = datetime.fromtimestamp(fire.at / 1000, UTC)
        plan = due(schedule, first - timedelta(seconds=1), max(now, first))
        following = milliseconds(plan.next) if plan.next else None
        if not plan.fires:
            await self._starts.runs.fire(fire, following, None)
        at = fire.at
        for position, instant in enumerate(plan.fires):
            last = position == len(plan.fires) - 1
            after = following if last else milliseconds(plan.fires[position + 1])
            run = self._run(kept, automation, trigger, instant)
            outcome = await self._starts.runs.fire(Fire(fire.schedule, at), after, run)
            if run is not None and outcome in ("ok", "there"):
                await self._starts.end_earlier(automation, run.id)
            if outcome == "full":
                log.warning("automation.full", automation=name, at=instant.isoformat())
            at = after or 0

    async def _published(
        self, kept: Kept | None, trigger: str
    ) -> tuple[Kept, Automation, Schedule] | None:
        if kept is None or not kept.enabled:
            return None
        automation = await self._starts.published(kept)
        schedule = schedules(automation).get(trigger) if automation else None
        return (kept, automation, schedule) if automation and schedule else None

    def _run(
        self, kept: Kept, automation: Automation, trigger: str, instant: datetime
    ) -> NewRun | None:
        """The fire's run; None, logged, where its inputs are no inputs."""
        started = Trigger(trigger, at=milliseconds(instant))
        schedule = schedules(automation)[trigger]
        try:
            given = resolve(dict(schedule.inputs), {"trigger": started.values()})
            inputs = fill_in(automation.inputs, given)
        except AutoBotError as error:
            log.warning("automation.bad_inputs", automation=kept.name, reason=error.detail)
            return None
        name = run_id(kept.name, trigger, instant)
        return self._starts.new_run(kept, automation, name, inputs, started)
