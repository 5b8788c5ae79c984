"""What follows from a run's end, done at least once however often this program is killed."""

from collections.abc import Sequence

import structlog

from autobot.automation.runs.journal import decoded
from autobot.automation.runs.state import RunState, fold
from autobot.contracts.automations import Kept
from autobot.contracts.runs import Run
from autobot.errors import NotFound, Unavailable
from deployments.main.automation.calls import Calls
from deployments.main.automation.events import Events
from deployments.main.automation.service import AutomationService
from deployments.main.automation.starts import Starts

log = structlog.get_logger()

TOGETHER = 100


class Ends:
    """Tells callers, counts failures in a row, and starts what is started by failed runs."""

    def __init__(
        self, starts: Starts, service: AutomationService, calls: Calls, events: Events
    ) -> None:
        self._starts, self._service = starts, service
        self._calls, self._events = calls, events

    async def turn(self) -> bool:
        """Do what follows from the ends that nobody has acknowledged. Return whether there may be
        more. What cannot be done, but for a store that is away, is logged and left."""
        runs = await self._starts.runs.ends(TOGETHER)
        for run in runs:
            try:
                await self._follow_up(run)
            except Unavailable:
                raise
            except Exception:
                log.exception("automation.end_not_followed_up", run=run.id)
            await self._starts.runs.acknowledge([run.id])
        return len(runs) == TOGETHER

    async def _follow_up(self, run: Run) -> None:
        state = fold(decoded(await self._starts.journal(run.id)))
        await self._calls.ended(run, state)
        try:
            kept = await self._starts.automations.get(run.automation)
        except NotFound:
            kept = None
        principal = state.created.principal if state.created else ""
        if principal and (kept is None or kept.principal != principal):
            await self._service.retire(run.automation, principal)
        if run.state == "failed":
            await self._failed(run, state, kept)

    async def _failed(self, run: Run, state: RunState, kept: Kept | None) -> None:
        error = dict(state.ended.error or {}) if state.ended else {}
        depth = state.created.depth if state.created else 0
        facts = {"automation": run.automation, "run": run.id, "error": error}
        await self._events.happened("run-failed", run.id, facts, depth, besides=run.automation)
        failed = await self._too_many_failures(kept) if kept else ()
        if kept and failed:
            why = f"{len(failed)} runs in a row failed, the last of them {failed[0].id}."
            off = {"automation": kept.name, "detail": f"'{kept.name}' was turned off: {why}"}
            # Told first: who comes after a crash between the two finds it off already.
            await self._events.happened("alert", f"off-{run.id}", off, depth, besides=kept.name)
            await self._service.enable(kept.name, False, why)
            log.warning("automation.turned_off", automation=kept.name, reason=why)

    async def _too_many_failures(self, kept: Kept) -> Sequence[Run]:
        """The runs in a row that have failed since it was turned on, the newest first, once they
        are as many as may."""
        automation = await self._starts.published(kept)
        if automation is None or not kept.enabled:
            return ()
        most = automation.limits.failures
        newest = await self._starts.runs.list(kept.name, limit=most + automation.limits.queue)
        over = [run for run in newest if run.state in ("succeeded", "failed")]
        last = [run for run in over if run.created >= kept.since][:most]
        failed = len(last) == most and all(run.state == "failed" for run in last)
        return last if failed else ()
