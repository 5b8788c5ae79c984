"""One run, done by who holds its lease: decide, write, act, and again."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from autobot.automation.runs.attempts import Attempt, StepKinds
from autobot.automation.runs.decisions import Decision, Start, end
from autobot.automation.runs.interpreter import Interpreter
from autobot.automation.runs.journal import (
    Crashed,
    Failed,
    JournalEntry,
    Place,
    Succeeded,
    Waiting,
    encode,
    masked,
)
from autobot.automation.runs.leased import LeasedJournal, Lost
from autobot.automation.runs.retries import as_failure, described, retry_at
from autobot.automation.runs.state import RunState
from autobot.automation.secrets.mask import NOTHING, Mask
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.runs import ENDED, LONGEST_INLINE, Lease, Release, Runs, check_entries
from autobot.errors import AutoBotError, Timeout, TooLarge, Unavailable

log = logging.getLogger(__name__)

PUT_BACK_MS = 5_000
"""How long a run that this program does not understand, or fails at, stays away from it."""
SHORT_WAIT_MS = 10_000
"""For less a run is not given back: whoever claims it reads its whole journal."""
MOST_CRASHES = 5
"""Of the program at one run, which then fails."""
LONGEST_RESULTS = 256 << 20
"""Bytes of all results of one run that are too large for an entry."""


@dataclass(frozen=True)
class Surroundings:
    """What every worker of an engine uses.

    ``interpreter`` gives that of a version, None for one that this program cannot carry out.
    ``now`` is the store's clock.
    """

    runs: Runs
    kinds: StepKinds
    interpreter: Callable[[str], Awaitable[Interpreter | None]]
    now: Callable[[], int]
    random: Callable[[], float]
    secrets: RunSecrets


class Worker:
    """Works on one run until it ends, has to wait, or is lost."""

    def __init__(self, lease: Lease, of: Surroundings) -> None:
        self.lease = lease
        self._of = of
        self._journal = LeasedJournal(lease, of.runs, of.random)
        self._interpreter: Interpreter | None = None
        self._state = RunState(lease.run)
        self._attempts: dict[Place, Attempt] = {}
        self._results: list[JournalEntry] = []
        self._values: dict[str, JsonValue] = {}
        self._wake = asyncio.Event()
        self._news = self._stopping = False

    # What the engine tells.

    def notice(self, last: int) -> None:
        """The journal's last entry has that number: somebody asked something of the run."""
        if last > self._journal.recorded:
            self._news = True
            self._wake.set()

    def lose(self) -> None:
        """The lease is lost: act no more."""
        self._journal.lost = True
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing, and give the run back once nothing is under way."""
        self._stopping = True
        self._wake.set()

    async def hand_back(self) -> None:
        """Let others have the run at once, whatever state it is in; after `work` was cancelled."""
        if not self._journal.lost:
            with contextlib.suppress(Unavailable):
                now = Release(None, self._of.now())
                await self._of.runs.append(self.lease, self._journal.recorded + 1, [], now)

    # The work.

    async def work(self) -> None:
        """Go on with the run as far as it goes."""
        try:
            await self._load()
            if self._state.created:
                version = self._state.created.version
                self._interpreter = await self._journal.insist(
                    lambda: self._of.interpreter(version)
                )
                await self._learn_secrets()
            while not await self._advance():
                pass
        except Lost:
            self._journal.lost = True
        except Exception as error:
            trace = self._mask.trace(error)
            log.error("run %s: the program failed: %s", self.lease.run, trace)
            await self._abandon()
            await self._crash(error)
        finally:
            await self._abandon()

    async def _learn_secrets(self) -> None:
        """Whoever worked on the run before may have used them: they must not be written down."""
        names = self._interpreter.secrets if self._interpreter else ()
        if names:
            await self._journal.insist(lambda: self._of.secrets.learn(names))

    @property
    def _mask(self) -> Mask:
        return self._of.secrets.mask(self._interpreter.secrets) if self._interpreter else NOTHING

    async def _advance(self) -> bool:
        """Take in what happened, decide, write it down and act on it. Return whether it is over."""
        await self._take_in()
        decision = await self._decided()
        release = self._release(decision)
        entries = [*self._results, *decision.entries]
        sure = asyncio.get_running_loop().time()
        if entries or release:
            if not await self._journal.append(entries, release):
                await self._load()
                return False
            self._results.clear()
            for entry in decision.entries:
                self._state.apply(entry)
        if release:
            return True
        if decision.starts:
            await self._journal.make_sure(sure)
        for start in decision.starts:
            self._begin(start)
        for place in decision.stop:
            self._attempts[place].stop()
        if len(decision.entries) == len(decision.starts) and not decision.more:
            await self._sleep(decision.due)
        return False

    async def _decided(self) -> Decision:
        """Decide what can be written. When the program fails at that, what is under way ends
        first: its results are written down, and nothing begins."""
        try:
            await self._read_blobs()
            decision = self._decide()
            mask = self._mask
            entries = tuple(masked(entry, mask) for entry in decision.entries)
            check_entries([encode(entry) for entry in entries])
            return replace(decision, entries=entries)
        except Exception as error:
            if not self._attempts:
                raise
            log.error("run %s: no decision: %s", self.lease.run, self._mask.trace(error))
            return Decision()

    def _decide(self) -> Decision:
        state, now, flying = self._state, self._of.now(), frozenset(self._attempts)
        if state.foreign or (self._interpreter is None and not state.cancelled):
            return Decision(state=None, due=None if flying else now + PUT_BACK_MS)
        if self._stopping:
            return Decision(state=None, due=None if flying else now)
        if self._interpreter is None:
            return end(state, now, "cancelled")
        return self._interpreter.decide(state, now, flying)

    def _release(self, decision: Decision) -> Release | None:
        if decision.state in ENDED:
            return Release(decision.state)
        if self._attempts or decision.entries:
            return None
        short = decision.due is not None and decision.due - self._of.now() < SHORT_WAIT_MS
        if short and decision.state == "waiting":
            return None
        return Release(decision.state, decision.due)

    def _begin(self, start: Start) -> None:
        step, iteration = start.entry.place
        key = "/".join(str(part) for part in (self.lease.run, step, iteration) if part is not None)
        principal = self._state.created.principal if self._state.created else ""
        self._attempts[start.entry.place] = Attempt(
            start,
            self.lease.run,
            key,
            principal,
            self._of.kinds,
            self._of.secrets,
            self._wake.set,
        )

    async def _sleep(self, due: int | None) -> None:
        """Until an attempt is over, something was asked, or ``due``."""
        timeout = None if due is None else max(0.0, (due - self._of.now()) / 1000)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)
        self._wake.clear()
        if self._journal.lost:
            raise Lost

    async def _abandon(self) -> None:
        for attempt in self._attempts.values():
            await attempt.abandon()

    async def _crash(self, error: Exception) -> None:
        """Write down what there is, and that the program failed; the last time ends the run."""
        now, detail = self._of.now(), described(as_failure(error), self._mask)
        last: tuple[JournalEntry, ...] = (Crashed(detail),)
        release = Release(None, now + PUT_BACK_MS)
        if self._state.crashes + 1 >= MOST_CRASHES:
            last += end(self._state, now, "failed", detail).entries
            release = Release("failed")
        try:
            while not await self._journal.append([*self._results, *last], release):
                await self._journal.read()  # for its number; the next worker heeds what was asked
        except Lost:
            self._journal.lost = True
        except Exception:
            log.exception("run %s falls due once its lease is over", self.lease.run)

    # What happened meanwhile.

    async def _load(self) -> None:
        """Read the whole journal; results that are not in it yet are held on to."""
        self._journal.recorded, self._state = 0, RunState(self.lease.run)
        for entry in [*await self._journal.read(), *self._results]:
            self._state.apply(entry)

    async def _take_in(self) -> None:
        if self._news:
            self._news = False
            for entry in await self._journal.read():
                self._state.apply(entry)
        for place in [p for p, attempt in self._attempts.items() if attempt.over]:
            entry = await self._settle(self._attempts[place])
            del self._attempts[place]
            self._results.append(entry)
            self._state.apply(entry)

    async def _settle(self, attempt: Attempt) -> JournalEntry:
        """Return the entry for an attempt that is over; a large result goes into a blob first."""
        place = attempt.place
        if waits := attempt.waits_for:
            return Waiting(*place, on="run", until=self._latest(), detail={"run": waits.run})
        try:
            output, body = attempt.result(self._mask)
        except AutoBotError as error:
            return self._failed(place, error)
        if len(body) <= LONGEST_INLINE:
            return Succeeded(*place, output=output)
        name = "/".join(map(str, (*place, attempt.start.entry.attempt)))
        try:
            if self._state.blob_bytes + len(body) > LONGEST_RESULTS:
                raise TooLarge(f"All large results of a run have at most {LONGEST_RESULTS} bytes.")
            await self._journal.put_blob(name, body)
        except Lost:
            raise
        except Exception as error:  # the step is done: another attempt would do it again
            return Failed(*place, error=described(as_failure(error), self._mask))
        self._values[name] = output
        return Succeeded(*place, blob=name, size=len(body))

    def _failed(self, place: Place, error: AutoBotError) -> JournalEntry:
        """Return what follows from an error. After a step's time is over it is not known whether it
        has had its effect, as when its worker vanishes."""
        assert self._interpreter is not None
        step, now = self._interpreter.by_id[place[0]], self._of.now()
        longest = self._interpreter.automation.limits.waiting
        detail = described(error, self._mask)
        policy = self._interpreter.policy(step) if isinstance(error, Timeout) else "retry"
        if policy == "ask":
            return Waiting(*place, on="unknown", until=self._latest(), detail=detail)
        failures = self._state.places[place].failures
        again = retry_at(step, failures, error, now, longest, self._of.random)
        return Failed(*place, error=detail, retry_at=again if policy == "retry" else None)

    def _latest(self) -> int:
        """Until when a step may wait that begins to wait now."""
        assert self._interpreter is not None
        return self._of.now() + self._interpreter.automation.limits.waiting * 1000

    async def _read_blobs(self) -> None:
        """Have those large results in memory that a step may read, and no others."""
        if not self._state.blob_bytes or self._interpreter is None:
            return
        known = self._interpreter.blobs_read(self._state)
        wanted = {place.blob for place in known}
        self._values = {name: of for name, of in self._values.items() if name in wanted}
        for place in self._state.places.values():
            place.output = None if place.blob else place.output
        for place in known:
            name = place.blob or ""
            if name not in self._values:
                self._values[name] = await self._journal.blob(name)
            place.output = self._values[name]
