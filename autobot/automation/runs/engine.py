"""The engine: claims runs that are due, works on them, and keeps their leases.

Any number of engines share one store. All waiting is on the event loop's clock; instants in
journals are the store's.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from autobot.automation.document import Automation
from autobot.automation.runs.attempts import StepKinds
from autobot.automation.runs.interpreter import Interpreter
from autobot.automation.runs.waits import WAITS
from autobot.automation.runs.worker import Surroundings, Worker
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.runs import Lease, Runs
from autobot.errors import Unavailable

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Between two looks for runs that are due."""
RENEW_S = 1.0
"""Between two renewals. Each also tells what was asked of the runs, so a cancel is seen soon; the
store writes a lease only when a third of it is gone."""
MOST_RUNS = 64
MOST_VERSIONS = 256
"""Versions whose interpreters are kept."""
GRACE_S = 20.0
"""How long what is under way may take to end when the engine stops."""

Versions = Callable[[str], Awaitable[Automation | None]]
"""Returns a version by its id; None for one that is not there or that this program cannot read."""


class Engine:
    """Works on at most ``most_runs`` runs at once.

    ``random`` gives numbers from 0 to 1. ``secrets`` opens those that steps use, and takes them out
    of what is written down.
    """

    def __init__(
        self,
        runs: Runs,
        kinds: StepKinds,
        versions: Versions,
        *,
        most_runs: int = MOST_RUNS,
        poll_s: float = POLL_S,
        random: Callable[[], float] = random.random,
        secrets: RunSecrets | None = None,
    ) -> None:
        self._runs, self._kinds, self._versions = runs, kinds, versions
        self._most, self._poll = most_runs, poll_s
        self._of = Surroundings(
            runs, kinds, self._interpreter, self.now, random, secrets or RunSecrets()
        )
        self._interpreters: dict[str, Interpreter] = {}
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[Worker, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._offset = 0.0
        self._renewed = float("-inf")
        self._away = False

    def now(self) -> int:
        """The store's clock, as it was at the last claim or renewal and went on since."""
        return round(asyncio.get_running_loop().time() * 1000 + self._offset)

    def wake(self) -> None:
        """Look for runs now: one was made here."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then give back what there is."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda task: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    await self._tick()
                    self._away = False
                except Unavailable as error:
                    if not self._away:
                        log.warning("the store of runs is away: %s", error)
                    self._away = True
                except Exception:  # the next look is a new chance, also for all other runs
                    log.exception("the engine looks again")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._poll)
            await self._give_back()
        finally:
            stopping.cancel()
            for task in self._tasks.values():
                task.cancel()

    # Leases.

    async def _tick(self) -> None:
        """Renew before claiming: what this engine held while the store was away stays its own."""
        loop = asyncio.get_running_loop()
        if self._workers and loop.time() - self._renewed >= RENEW_S:
            await self._renew()
        room = self._most - len(self._tasks)
        if room > 0:
            claims = await self._runs.claim(room)
            self._offset = claims.now - loop.time() * 1000
            for lease in claims.leases:
                self._start(lease)

    async def _renew(self) -> None:
        workers = list(self._workers.values())
        renewals = await self._runs.renew([worker.lease for worker in workers])
        loop = asyncio.get_running_loop()
        self._renewed = loop.time()
        self._offset = renewals.now - loop.time() * 1000
        for worker in workers:
            last = renewals.last.get(worker.lease.run)
            if last is None:
                worker.lose()
            else:
                worker.notice(last)

    def _start(self, lease: Lease) -> None:
        worker = Worker(lease, self._of)
        before = self._workers.get(lease.run)
        self._workers[lease.run] = worker
        task = asyncio.create_task(self._follow(before, worker))
        self._tasks[worker] = task
        task.add_done_callback(lambda task: self._finished(worker, task))

    async def _follow(self, before: Worker | None, worker: Worker) -> None:
        """A run that was lost and claimed again is worked on once the first worker has ended."""
        task = before and self._tasks.get(before)
        if before and task:
            before.lose()
            await asyncio.wait({task})
        await worker.work()

    def _finished(self, worker: Worker, task: "asyncio.Task[None]") -> None:
        if self._workers.get(worker.lease.run) is worker:
            del self._workers[worker.lease.run]
        del self._tasks[worker]
        if not task.cancelled() and (error := task.exception()):
            log.error("run %s stopped unexpectedly", worker.lease.run, exc_info=error)
        self._wake.set()

    async def _give_back(self) -> None:
        for worker in self._workers.values():
            worker.stop()
        until = asyncio.get_running_loop().time() + GRACE_S
        while self._tasks and (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await self._renew()
            except Exception:
                log.exception("leases were not renewed")
            await asyncio.wait(self._tasks.values(), timeout=min(left, RENEW_S))
        remaining = dict(self._tasks)
        for task in remaining.values():
            task.cancel()
        if remaining:
            await asyncio.wait(remaining.values(), timeout=GRACE_S)
            await asyncio.gather(*(worker.hand_back() for worker in remaining))

    # Versions.

    async def _interpreter(self, version: str) -> Interpreter | None:
        if version in self._interpreters:
            return self._interpreters[version]
        automation = await self._versions(version)
        if automation is None:
            return None
        tools = {step.use for step in automation.steps} - WAITS
        if not all(self._kinds.knows(use) for use in tools):
            return None
        interpreter = Interpreter(automation, self._kinds.on_unknown)
        while len(self._interpreters) >= MOST_VERSIONS:
            del self._interpreters[next(iter(self._interpreters))]
        self._interpreters[version] = interpreter
        return interpreter
