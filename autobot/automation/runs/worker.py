"""One run, done by who holds its lease: decide, write, act, and again."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import JsonValue

from autobot.automation.runs.attempts import Attempt, StepKinds
from autobot.automation.runs.interpreter import Decision, Interpreter, Start
from autobot.automation.runs.journal import (
    Failed,
    JournalEntry,
    Place,
    Succeeded,
    decoded,
    encode,
)
from autobot.automation.runs.retries import described, retry_at
from autobot.automation.runs.state import RunState
from autobot.contracts.runs import ENDED, LONGEST_INLINE, Lease, Release, Runs
from autobot.contracts.runs import Entry as StoredEntry
from autobot.errors import AutoBotError, Unavailable

PUT_BACK_MS = 5_000
"""How long a run that this program does not understand stays away from it."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2.0
"""Between two calls of a store that is away."""
PAGE = 1_000

T = TypeVar("T")


class Lost(Exception):
    """Somebody else has the run."""


@dataclass(frozen=True)
class Surroundings:
    """What every worker of an engine uses.

    ``interpreter`` gives that of a version, None for one that this program cannot carry out.
    ``now`` is the store's clock. ``mask`` takes secrets out of what is written down.
    """

    runs: Runs
    kinds: StepKinds
    interpreter: Callable[[str], Awaitable[Interpreter | None]]
    now: Callable[[], int]
    random: Callable[[], float]
    mask: Callable[[JsonValue], JsonValue]


class Worker:
    """Works on one run until it ends, has to wait, or is lost."""

    def __init__(self, lease: Lease, of: Surroundings) -> None:
        self.lease = lease
        self._of = of
        self._state = RunState(lease.run)
        self._recorded = 0
        self._attempts: dict[Place, Attempt] = {}
        self._results: list[JournalEntry] = []
        self._values: dict[str, JsonValue] = {}
        self._wake = asyncio.Event()
        self._news = self._stopping = False
        self.lost = False

    # What the engine tells.

    def notice(self, last: int) -> None:
        """The journal's last entry has that number: somebody asked something of the run."""
        if last > self._recorded:
            self._news = True
            self._wake.set()

    def lose(self) -> None:
        """The lease is lost: act no more."""
        self.lost = True
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing, and give the run back once nothing is under way."""
        self._stopping = True
        self._wake.set()

    async def hand_back(self) -> None:
        """Let others have the run at once, whatever state it is in; after `work` was cancelled."""
        if not self.lost:
            with contextlib.suppress(Unavailable):
                now = Release(None, self._of.now())
                await self._of.runs.append(self.lease, self._recorded + 1, [], now)

    # The work.

    async def work(self) -> None:
        """Go on with the run as far as it goes."""
        try:
            await self._load()
            created = self._state.created
            interpreter = created and await self._insist(
                lambda: self._of.interpreter(created.version)
            )
            if self._state.foreign or interpreter is None:
                later = Release(None, self._of.now() + PUT_BACK_MS)
                await self._append([], later)
                return
            while not await self._advance(interpreter):
                pass
        except Lost:
            self.lost = True
        finally:
            for attempt in self._attempts.values():
                await attempt.abandon()

    async def _advance(self, interpreter: Interpreter) -> bool:
        """Take in what happened, decide, write it down and act on it. Return whether it is over."""
        await self._take_in(interpreter)
        if self._stopping:
            decision = Decision(due=None if self._attempts else self._of.now())
        else:
            decision = interpreter.decide(self._state, self._of.now(), frozenset(self._attempts))
        release = self._release(decision)
        entries = [*self._results, *decision.entries]
        if entries or release:
            if not await self._append(entries, release):
                await self._load()
                return False
            self._results.clear()
            for entry in decision.entries:
                self._state.apply(entry)
        if release:
            return True
        for start in decision.starts:
            self._begin(start)
        for place in decision.stop:
            self._attempts[place].stop()
        if len(decision.entries) == len(decision.starts):
            await self._sleep(decision.due)
        return False

    def _release(self, decision: Decision) -> Release | None:
        if decision.state in ENDED:
            return Release(decision.state)
        if self._attempts or decision.entries:
            return None
        return Release(None if self._stopping else decision.state, decision.due)

    def _begin(self, start: Start) -> None:
        step, iteration = start.entry.place
        key = "/".join(str(part) for part in (self.lease.run, step, iteration) if part is not None)
        principal = self._state.created.principal if self._state.created else ""
        self._attempts[start.entry.place] = Attempt(
            start, key, principal, self._of.kinds, self._wake.set
        )

    async def _sleep(self, due: int | None) -> None:
        """Until an attempt is over, something was asked, or ``due``."""
        timeout = None if due is None else max(0.0, (due - self._of.now()) / 1000)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)
        self._wake.clear()
        if self.lost:
            raise Lost

    # What happened meanwhile.

    async def _take_in(self, interpreter: Interpreter) -> None:
        if self._news:
            self._news = False
            self._read(await self._fetch(self._recorded))
        for place in [p for p, attempt in self._attempts.items() if attempt.over]:
            entry = await self._settle(interpreter, self._attempts[place])
            del self._attempts[place]
            self._results.append(entry)
            self._apply(entry)

    async def _settle(self, interpreter: Interpreter, attempt: Attempt) -> JournalEntry:
        """Return the entry for an attempt that is over; a large result goes into a blob first."""
        place = attempt.place
        try:
            output, body = attempt.result()
        except AutoBotError as error:
            step = interpreter.automation.step(place[0])
            failures = self._state.places[place].failures
            again = retry_at(step, failures, error, self._of.now(), self._of.random)
            masked = {name: self._of.mask(value) for name, value in described(error).items()}
            return Failed(*place, error=masked, retry_at=again)
        output = self._of.mask(output)
        if len(body) <= LONGEST_INLINE:
            return Succeeded(*place, output=output)
        name = "/".join(map(str, (*place, attempt.start.entry.attempt)))
        data = json.dumps(output).encode()
        stored = await self._insist(lambda: self._of.runs.put_blob(self.lease, name, data))
        if stored == "fenced":
            raise Lost
        self._values[name] = output
        return Succeeded(*place, blob=name)

    def _apply(self, entry: JournalEntry) -> None:
        self._state.apply(entry)
        if isinstance(entry, Succeeded) and entry.blob is not None:
            self._state.places[entry.place].output = self._values[entry.blob]

    # The store.

    async def _load(self) -> None:
        """Read the whole journal; results that are not in it yet are held on to."""
        self._recorded, self._state = 0, RunState(self.lease.run)
        self._read(await self._fetch(0))
        for entry in self._results:
            self._apply(entry)

    async def _fetch(self, after: int) -> list[StoredEntry]:
        stored: list[StoredEntry] = []
        while True:
            last = after + len(stored)
            page = await self._insist(
                lambda last=last: self._of.runs.read(self.lease.run, last, PAGE)
            )
            stored += page
            if len(page) < PAGE:
                break
        for entry in decoded(stored):
            if isinstance(entry, Succeeded) and entry.blob and entry.blob not in self._values:
                name = entry.blob
                data = await self._insist(
                    lambda name=name: self._of.runs.blob(self.lease.run, name)
                )
                self._values[name] = json.loads(data or b"null")
        return stored

    def _read(self, stored: Sequence[StoredEntry]) -> None:
        self._recorded += len(stored)
        for entry in decoded(stored):
            self._apply(entry)

    async def _append(self, entries: Sequence[JournalEntry], release: Release | None) -> bool:
        """Write, again and again while the store is away. Return False when the journal has
        something to read first; raises `Lost`."""
        bodies = [encode(entry) for entry in entries]
        seq = self._recorded + 1
        outcome = await self._insist(lambda: self._of.runs.append(self.lease, seq, bodies, release))
        if outcome == "fenced":
            raise Lost
        if outcome == "behind":
            return False
        self._recorded += len(entries)
        return True

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while the store is away. Attempts go on meanwhile, and none begins."""
        wait = FIRST_WAIT_S
        while True:
            if self.lost:
                raise Lost
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(wait * (0.5 + self._of.random()))
                wait = min(LONGEST_WAIT_S, wait * 2)
