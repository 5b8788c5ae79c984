"""Runs: work that outlives whoever does it. What a store of runs promises, its values and a fake.

A run is a journal of entries, numbered from 1, that only grows. One worker at a time may append to
it: the one whose `Lease` has the run's newest token. A worker that was away too long has an old
one, and nothing it sends is written. Anybody may `ask` something of a run (cancel it, decide for
it): that is an entry of the journal too, which a worker has to read before it appends the next.

The store never reads an entry. All its instants are milliseconds of Unix time by its own clock,
the one clock that workers share. Each call is atomic, and what it wrote is on the disk when it
returns. A call whose reply is lost can be repeated as it was. `Unavailable`: the store is away; the
call may have happened or not.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from autobot.errors import BadRequest, TooLarge

State = Literal["queued", "running", "waiting", "paused", "succeeded", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})
LEASE_S = 30
"""A run that nobody renews for so long falls due again."""
LONGEST_INLINE = 64 << 10
"""Bytes of one entry's result; a larger one goes into a blob."""
LONGEST_ENTRY = 1 << 20
"""Bytes of one entry: a result, or the items of a loop, and what stands around it."""
LONGEST_BLOB = 16 << 20
MOST_ASKS = 1_000
"""Of one run: each is an entry of its journal, and anybody with the right may ask. What ends a run
is not counted, nor an answer: of these there are no more than questions."""
MOST_KEPT = 1_000
KEPT_S = 30 * 86_400
"""Of an automation's runs that have ended, unless its `NewRun` says otherwise."""
AT_ONCE = 0
"""An instant that has passed."""
MOST_OPEN = 100
"""Runs of one automation that have not ended, unless its `NewRun` says less or more."""
MOST_LISTED = 1_000
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Created = Literal["ok", "there", "full"]
Appended = Literal["ok", "duplicate", "behind", "fenced"]
Asked = Literal["ok", "duplicate", "ended", "missing", "full"]
Fired = Literal["ok", "there", "full", "stale"]
Scheduled = Literal["ok", "stale"]
Purpose = Literal["end", "answer", "other"]
"""What an ask is for: that the run ends, what it waits for, or anything else."""
Cursor = tuple[int, str]
"""When a run was created, and its id."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """``entries`` begin its journal; it falls due at ``due``.

    ``automation`` is what runs are listed and counted by: an automation's id, or the name of any
    other kind of long work. More than ``most_running`` of it at once wait in line for their turn,
    in the order of their making.

    It is kept for ``kept_s`` seconds after its end, or until ``most_kept`` of its automation have
    ended after it. Its id stays taken for ``taken_s`` seconds from its making, whether it is kept
    for so long or not. ``blobs_of`` is the run whose large results it takes over.
    """

    id: str
    automation: str
    entries: tuple[bytes, ...]
    due: int = AT_ONCE
    most_open: int = MOST_OPEN
    most_running: int = MOST_OPEN
    most_kept: int = MOST_KEPT
    kept_s: int = KEPT_S
    taken_s: int = 0
    blobs_of: str = ""

    def __post_init__(self) -> None:
        for name in (self.id, self.automation):
            if not ID.fullmatch(name):
                raise BadRequest(f"{name!r} is no id of a run or automation.")
        check_entries(self.entries)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to append to a run, until somebody else claims it."""

    run: str
    token: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What a worker got; ``now`` is the store's clock."""

    now: int
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Renewals:
    """The last entry's number of each run that is still the worker's; the others are lost."""

    now: int
    last: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Release:
    """When the run falls due: never by itself where that is None. Its ``state`` is what a worker
    says that understands it; None leaves it as it was."""

    state: State | None
    due: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """``token`` is that of the lease it was appended under, 0 for what was asked from outside."""

    seq: int
    token: int
    at: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """A run as lists show it; ``seq`` is the number of its last entry."""

    id: str
    automation: str
    state: State
    created: int
    ended: int | None
    due: int | None
    seq: int
    token: int


@dataclass(frozen=True, slots=True)
class Fire:
    """A schedule's next instant."""

    schedule: str
    at: int


class Runs(Protocol):
    """The store of runs. Errors of every call: `Unavailable`."""

    async def create(self, run: NewRun) -> Created:
        """Make a run. ``there``: one of that id exists and stays as it is, or its id is still
        taken. ``full``: as many of its automation as `NewRun.most_open` have not ended."""
        ...

    async def get(self, run: str) -> Run | None:
        """Return what lists show of a run; None where there is none."""
        ...

    async def list(
        self,
        automation: str | None = None,
        state: State | None = None,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[Run]:
        """Return at most ``limit`` runs (and `MOST_LISTED`), the newest first.

        ``before`` is where an earlier list ended: its last run's ``created`` and ``id``. With no id
        it leaves out all that were created at that instant or later.
        """
        ...

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> Sequence[Entry]:
        """Return entries from number ``after + 1`` on; none where there is no such run."""
        ...

    async def claim(self, limit: int) -> Claims:
        """Lease at most ``limit`` runs that are due, those first that are due for longest.

        It raises each one's token, above every one that a backup may have, and lets the run fall
        due again after `LEASE_S`. Runs of an automation on `hold` that have not begun are left.
        """
        ...

    async def renew(self, leases: Sequence[Lease]) -> Renewals:
        """Let leases last `LEASE_S` from now. Cheap: it writes only what is older than a third."""
        ...

    async def append(
        self, lease: Lease, seq: int, entries: Sequence[bytes], release: Release | None = None
    ) -> Appended:
        """Add entries from number ``seq`` on, all or none, and then give the run back.

        Without ``release`` the run is ``running`` and leased for `LEASE_S` from now.
        ``duplicate``: just this was appended under this lease before. ``behind``: the journal has
        another entry of that number, which has to be read first. ``fenced``: the lease is lost, or
        was given back.
        """
        ...

    async def ask(self, run: str, ask: str, entry: bytes, purpose: Purpose = "other") -> Asked:
        """Add an entry without a lease, and let the run fall due if nobody works on it.

        ``ask`` names it: a second of that name is a ``duplicate``. ``ended``: the run is over.
        ``full``: there were `MOST_ASKS`. A run that waits in line or whose automation is on hold
        falls due only for ``purpose`` ``end``: it must be able to.
        """
        ...

    async def put_blob(self, lease: Lease, name: str, data: bytes) -> Appended:
        """Keep a result that is too large for an entry as long as its run; raises `TooLarge`."""
        ...

    async def blob(self, run: str, name: str) -> bytes | None:
        """Return what `put_blob` kept."""
        ...

    async def hold(self, automation: str, held: bool, *, revision: int | None = None) -> None:
        """Let no run of an automation begin from now on, or let them again; it stays so. Those
        that have begun go on, and more can be made. A call with a smaller ``revision`` than an
        earlier one changes nothing."""
        ...

    async def ends(self, limit: int = 100) -> Sequence[Run]:
        """Return runs that have ended and whose end nobody has `acknowledge`-d, the first to end
        first: whatever follows from an end is done before that, so none is passed over."""
        ...

    async def acknowledge(self, runs: Sequence[str]) -> None:
        """All that follows from the end of these runs is done."""
        ...

    async def prune(self, limit: int = 100) -> int:
        """Delete at most ``limit`` runs that ended and are kept no longer, as their `NewRun` says.
        Those whose end is not acknowledged stay. Return how many."""
        ...

    async def schedule(
        self, schedule: str, at: int | None, *, revision: int | None = None, keep: bool = False
    ) -> Scheduled:
        """Set a schedule's next instant, or remove it with None. With ``keep`` one that is set
        stays. ``stale``: an earlier call had a greater ``revision``, and nothing happens."""
        ...

    async def fires(self, limit: int = 100) -> Sequence[Fire]:
        """Return schedules whose next instant has come."""
        ...

    async def fire(
        self,
        fire: Fire,
        following: int | None,
        run: NewRun | None,
        *,
        again_when_full: bool = False,
    ) -> Fired:
        """Make a fire's run and set the next instant, both in one step.

        ``full``: the fire is over without a run, or stays due with ``again_when_full``.
        ``stale``: the schedule's next instant is another, and nothing happens (unless the run is
        ``there``: then this is a repeated call). ``run`` is None for a fire that is left out.
        """
        ...


def check_entries(entries: Sequence[bytes]) -> None:
    """Raise `TooLarge` for an entry that no store takes."""
    if any(len(entry) > LONGEST_ENTRY for entry in entries):
        raise TooLarge(f"An entry of a journal has at most {LONGEST_ENTRY} bytes.")


def check_blob(data: bytes) -> None:
    """Raise `TooLarge` for a result that no store takes."""
    if len(data) > LONGEST_BLOB:
        raise TooLarge(f"A result has at most {LONGEST_BLOB} bytes; this one has {len(data)}.")


@dataclass
class _Kept:
    """A run of the fake."""

    automation: str
    created: int
    due: int | None
    state: State = "queued"
    token: int = 0
    held: bool = False
    ended: int | None = None
    in_line: bool = False
    jumped: bool = False
    log: list[Entry] = field(default_factory=list[Entry])
    parked: int | None = None
    ending: bool = False
    expires: int | None = None
    acknowledged: bool = False
    most_kept: int = MOST_KEPT
    kept_s: int = KEPT_S
    taken_until: int = 0
    counted: int = 0
    asks: set[str] = field(default_factory=set[str])
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def add(self, token: int, at: int, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            self.log.append(Entry(len(self.log) + 1, token, at, body))


class FakeRuns:
    """`Runs` in memory; ``clock`` gives Unix time in milliseconds."""

    def __init__(
        self,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        lease_s: float = LEASE_S,
    ) -> None:
        self._clock = clock
        self._lease = round(lease_s * 1000)
        self.kept: dict[str, _Kept] = {}
        self._fires: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._held: set[str] = set()
        self._hold_revisions: dict[str, int] = {}
        self._gone: dict[str, int] = {}

    def _is_taken(self, run: str) -> bool:
        return run in self.kept or self._gone.get(run, 0) > self._clock()

    async def create(self, run: NewRun) -> Created:
        if self._is_taken(run.id):
            return "there"
        mine = [k for k in self.kept.values() if k.automation == run.automation]
        if sum(kept.ended is None for kept in mine) >= run.most_open:
            return "full"
        now = self._clock()
        active = sum(kept.ended is None and not kept.in_line for kept in mine)
        self.kept[run.id] = kept = _Kept(run.automation, now, max(now, run.due))
        kept.most_kept, kept.kept_s = run.most_kept, run.kept_s
        kept.taken_until = now + run.taken_s * 1000
        if run.blobs_of in self.kept:
            kept.blobs = dict(self.kept[run.blobs_of].blobs)
        if active >= run.most_running:
            kept.in_line, kept.due = True, None
        kept.add(0, now, run.entries)
        return "ok"

    async def get(self, run: str) -> Run | None:
        kept = self.kept.get(run)
        if kept is None:
            return None
        return Run(
            run,
            kept.automation,
            kept.state,
            kept.created,
            kept.ended,
            kept.due,
            len(kept.log),
            kept.token,
        )

    async def list(
        self,
        automation: str | None = None,
        state: State | None = None,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[Run]:
        runs = [run for name in self.kept if (run := await self.get(name)) is not None]
        chosen = [
            run
            for run in runs
            if automation in (None, run.automation) and state in (None, run.state)
            if before is None or (run.created, run.id) < before
        ]
        chosen.sort(key=lambda run: (run.created, run.id), reverse=True)
        return chosen[: min(limit, MOST_LISTED)]

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> Sequence[Entry]:
        kept = self.kept.get(run)
        return kept.log[after : after + limit] if kept else []

    async def claim(self, limit: int) -> Claims:
        now = self._clock()
        due = [(k.due, name) for name, k in self.kept.items() if k.due is not None and k.due <= now]
        leases: list[Lease] = []
        for at, name in sorted(due):
            kept = self.kept[name]
            if len(leases) == limit:
                break
            if kept.state == "queued" and not kept.ending and kept.automation in self._held:
                kept.due, kept.parked = None, at
                continue
            kept.token, kept.held = max(kept.token + 1, now), True
            kept.due = now + self._lease
            leases.append(Lease(name, kept.token))
        return Claims(now, tuple(leases))

    def _holds(self, lease: Lease) -> _Kept | None:
        kept = self.kept.get(lease.run)
        return kept if kept and kept.held and kept.token == lease.token else None

    async def renew(self, leases: Sequence[Lease]) -> Renewals:
        now = self._clock()
        last: dict[str, int] = {}
        for lease in leases:
            kept = self._holds(lease)
            if kept:
                kept.due = now + self._lease
                last[lease.run] = len(kept.log)
        return Renewals(now, last)

    async def append(
        self, lease: Lease, seq: int, entries: Sequence[bytes], release: Release | None = None
    ) -> Appended:
        check_entries(entries)
        kept = self.kept.get(lease.run)
        if kept is None or kept.token != lease.token:
            return "fenced"
        there = kept.log[seq - 1] if entries and 0 < seq <= len(kept.log) else None
        if there and there.token == lease.token and there.body == entries[0]:
            return "duplicate"
        if not kept.held:
            return "fenced" if entries else "duplicate"
        if seq != len(kept.log) + 1:
            return "behind"
        now = self._clock()
        kept.add(lease.token, now, entries)
        kept.state = (release.state or kept.state) if release else "running"
        kept.due = now + self._lease
        if release:
            kept.held, kept.due = False, release.due
        if kept.state in ENDED:
            kept.ended, kept.due = now, None
            kept.expires = now + kept.kept_s * 1000
            self._expire(kept, now)
            if not kept.jumped:  # else it had no place to give
                self._next(kept.automation, now)
        return "ok"

    def _expire(self, last: _Kept, now: int) -> None:
        """Let the oldest go where there are more than its automation keeps."""
        mine = [(n, k) for n, k in self.kept.items() if k.automation == last.automation]
        over = sorted((kept.ended, name) for name, kept in mine if kept.ended is not None)
        for _, name in over[: max(0, len(over) - last.most_kept)]:
            self.kept[name].expires = now

    def _next(self, automation: str, now: int) -> None:
        """Let the first in line have its turn."""
        for kept in self.kept.values():
            if kept.automation == automation and kept.in_line:
                kept.in_line, kept.due = False, now
                return

    async def ask(self, run: str, ask: str, entry: bytes, purpose: Purpose = "other") -> Asked:
        check_entries([entry])
        kept = self.kept.get(run)
        if kept is None:
            return "missing"
        if ask in kept.asks:
            return "duplicate"
        if kept.ended is not None:
            return "ended"
        if purpose == "other" and kept.counted >= MOST_ASKS:
            return "full"
        now = self._clock()
        kept.asks.add(ask)
        kept.counted += purpose == "other"
        kept.add(0, now, [entry])
        if purpose == "end":
            kept.jumped |= kept.in_line
            kept.ending, kept.in_line, kept.parked = True, False, None
        if not kept.held and not kept.in_line and kept.parked is None:
            kept.due = now
        return "ok"

    async def put_blob(self, lease: Lease, name: str, data: bytes) -> Appended:
        check_blob(data)
        kept = self._holds(lease)
        if kept is None:
            return "fenced"
        kept.blobs[name] = data
        return "ok"

    async def blob(self, run: str, name: str) -> bytes | None:
        kept = self.kept.get(run)
        return kept.blobs.get(name) if kept else None

    async def hold(self, automation: str, held: bool, *, revision: int | None = None) -> None:
        if revision is not None:
            if revision < self._hold_revisions.get(automation, revision):
                return
            self._hold_revisions[automation] = revision
        (self._held.add if held else self._held.discard)(automation)
        for kept in self.kept.values():
            if not held and kept.automation == automation and kept.parked is not None:
                kept.due, kept.parked = kept.parked, None

    async def ends(self, limit: int = 100) -> Sequence[Run]:
        over = [
            (kept.ended, name)
            for name, kept in self.kept.items()
            if kept.ended is not None and not kept.acknowledged
        ]
        runs = [await self.get(name) for _, name in sorted(over)[:limit]]
        return [run for run in runs if run is not None]

    async def acknowledge(self, runs: Sequence[str]) -> None:
        for run in runs:
            if kept := self.kept.get(run):
                kept.acknowledged = True

    async def prune(self, limit: int = 100) -> int:
        now = self._clock()
        over = sorted(
            (kept.expires, name)
            for name, kept in self.kept.items()
            if kept.expires is not None and kept.acknowledged
        )
        gone = [name for expires, name in over if expires <= now][:limit]
        for name in gone:
            self._gone[name] = self.kept.pop(name).taken_until
        return len(gone)

    async def schedule(
        self, schedule: str, at: int | None, *, revision: int | None = None, keep: bool = False
    ) -> Scheduled:
        if revision is not None and revision < self._revisions.get(schedule, revision):
            return "stale"
        if keep and schedule in self._fires:
            return "ok"
        if revision is not None:
            self._revisions[schedule] = revision
        self._fires.pop(schedule, None)
        if at is not None:
            self._fires[schedule] = at
        return "ok"

    async def fires(self, limit: int = 100) -> Sequence[Fire]:
        now = self._clock()
        due = sorted((at, name) for name, at in self._fires.items() if at <= now)
        return [Fire(name, at) for at, name in due[:limit]]

    async def fire(
        self,
        fire: Fire,
        following: int | None,
        run: NewRun | None,
        *,
        again_when_full: bool = False,
    ) -> Fired:
        if self._fires.get(fire.schedule) != fire.at:
            return "there" if run and self._is_taken(run.id) else "stale"
        created: Created = await self.create(run) if run else "ok"
        if not (created == "full" and again_when_full):
            await self.schedule(fire.schedule, following)
        return created
