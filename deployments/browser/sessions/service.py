"""The sessions of one replica: whose they are, how long they last, and how many there may be.

A session lives in the replica that opened it and ends with it; its id says which that was.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from autobot.errors import AutoBotError, Busy, Conflict, NotFound
from deployments.browser.actions import Action
from deployments.browser.admission import SessionAdmissionQueue
from deployments.browser.affinity.session_ids import replica_of, short, vm_of
from deployments.browser.chromium.isolation.memory import MEASURED_EVERY_S, Meter
from deployments.browser.egress.policy import Domains
from deployments.browser.engine import Browser, Rendered, Session
from deployments.browser.errors import SessionEnded
from deployments.browser.pages.schemas import Extension, Limits, NewSession
from deployments.browser.profiles.service import RENEWED_EVERY_S, Profile
from deployments.browser.sessions.wheel import Wheel

log = structlog.get_logger()

MAX_LIFE_S = 86_400.0
KEPT_ENDINGS = 1000
MOST_QUEUED = 32
"""Actions of one session that are done or wait: what they carry is kept meanwhile."""
CLOSED = "it was closed"
KEY_ENDED = "its API key was revoked or has expired"
SAVE_TIMEOUT_S = 15.0


@dataclass(eq=False)
class Record:
    """An open session and what the room knows of it. Times are of the monotonic clock."""

    id: str
    owner: str
    session: Session
    limits: Limits
    profile: Profile | None = None
    created_at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    wheel: Wheel = field(default_factory=Wheel)
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the first of the agent's actions: it waits for the wheel, the others behind it."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while something is done to the session, by its agent or by a person."""
    queued: int = 0
    viewers: int = 0
    finished: str | None = None
    """Why the session has ended; its viewers read it here."""

    def __post_init__(self) -> None:
        self.used = self.began
        self.expires = self.began + self.limits.lifetime_s

    def extend(self, extension: Extension) -> None:
        """Set new limits; a session lasts a day at most, however often it is extended."""
        now = time.monotonic()
        if extension.idle_s is not None:
            self.limits = Limits(idle_s=extension.idle_s, lifetime_s=self.limits.lifetime_s)
        if extension.lifetime_s is not None:
            self.expires = min(now + extension.lifetime_s, self.began + MAX_LIFE_S)
        self.used = now

    def over(self) -> str | None:
        """Say why the session has to end now, or None."""
        now = time.monotonic()
        if self.session.ended.is_set():
            return "the browser under it crashed"
        if now >= self.expires:
            return "its lifetime is over"
        busy = self.turn.locked() or self.wheel.held()
        if not busy and self._idle_s(now) >= self.limits.idle_s:
            return f"it was idle for {self.limits.idle_s:g} s"
        return None

    def _idle_s(self, now: float) -> float:
        """Seconds since its agent, or a person at the wheel, last did something."""
        return now - max(self.used, self.wheel.touched)

    def describe(self) -> dict[str, Any]:
        """Return what its owner is told; times are in seconds, ``created`` is a Unix time."""
        now = time.monotonic()
        return {
            "id": self.id,
            "node": vm_of(self.id),
            "created": self.created_at,
            "idle_s": self.limits.idle_s,
            "expires_in_s": round(self.expires - now, 1),
            "idle_for_s": round(self._idle_s(now), 1),
            "wheel": "person" if self.wheel.held() else "agent",
            "viewers": self.viewers,
            "profile": self.profile.name if self.profile else None,
            **asdict(self.session.state()),
        }

    async def save(self) -> int | None:
        """Save its profile; return the bytes it takes, None for a session without one.

        Raises `Conflict`, `TooLarge`, or `Unavailable` when room redis does not answer.
        """
        if self.profile is None:
            return None
        async with asyncio.timeout(SAVE_TIMEOUT_S):
            storage = await self.session.storage()
        return await self.profile.save(storage)


class Sessions:
    """Opens, finds and ends sessions. Another key's session is as good as none: `NotFound`."""

    def __init__(self, browser: Browser, replica: str, meter: Meter, most: int) -> None:
        self.admission = SessionAdmissionQueue(
            lambda newcomer: min(most - self.admission.inside, meter.places(newcomer))
        )
        self._browser = browser
        self._replica = replica
        self._meter = meter
        self._open: dict[str, Record] = {}
        self._endings: dict[str, tuple[str, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to look after sessions in the running event loop: their ends, leases and memory."""
        self._tasks.add(asyncio.get_running_loop().create_task(self._look_after()))

    async def close(self) -> None:
        """End all sessions and save their profiles; what cannot be saved is logged."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._end(r, "its room stopped") for r in [*self._open.values()]))

    async def open(
        self,
        owner: str,
        new: NewSession,
        key_domains: Domains = Domains(),  # noqa: B008  frozen
        profile: Profile | None = None,
    ) -> Record:
        """Open a session when there is a place, with what ``profile`` holds.

        Raises `Busy` when there is no place in time, `Conflict` when another session writes the
        profile.
        """
        async with contextlib.AsyncExitStack() as undo:
            await self.admission.enter(owner, new.queue_s)
            undo.callback(self.admission.leave, owner)
            self._meter.opened()
            storage = new.storage
            if profile is not None:
                undo.push_async_callback(profile.release)
                await profile.take()
                storage = profile.storage
            session = await self._browser.open(new.spec(owner, key_domains, storage))
            undo.pop_all()
        limits = Limits(idle_s=new.idle_s, lifetime_s=new.lifetime_s)
        name = f"s_{self._replica}_{secrets.token_urlsafe(16)}"
        record = self._open[name] = Record(name, owner, session, limits, profile)
        return record

    def all(self, owner: str) -> list[Record]:
        """Return ``owner``'s open sessions, oldest first."""
        return [record for record in self._open.values() if record.owner == owner]

    def find(self, owner: str, name: str) -> Record:
        """Return ``owner``'s session. Raises `SessionEnded` with the reason, or `NotFound`."""
        record = self._open.get(name)
        if record is not None and record.owner == owner:
            if record.session.ended.is_set():
                raise SessionEnded(f"This session has ended: {record.over()}.")
            record.used = time.monotonic()
            return record
        whose, why = self._endings.get(name, ("", ""))
        if whose == owner:
            raise SessionEnded(f"This session has ended: {why}.")
        if replica_of(name) not in (None, self._replica):
            raise NotFound("There is no such session; it may have ended with its replica.")
        raise NotFound("There is no such session.")

    async def act(self, owner: str, name: str, action: Action) -> Rendered:
        """Do ``action`` when those before it are done and no person has the wheel.

        Raises `WheelTaken` or `Conflict` when it could not begin within its own deadline, `Busy`
        when too many wait already.
        """
        record = self.find(owner, name)
        if record.queued >= MOST_QUEUED:
            raise Busy(f"{record.queued} actions of this session are waiting already.")
        record.queued += 1
        try:
            return await self._in_turn(record, action)
        finally:
            record.queued -= 1

    async def _in_turn(self, record: Record, action: Action) -> Rendered:
        begins_by = time.monotonic() + action.timeout_s
        async with _held(record.line, begins_by, record.wheel):
            while True:
                # The wheel first: who waits for it with the turn in hand keeps its holder waiting.
                await record.wheel.free(begins_by - time.monotonic())
                async with self._turn(record, begins_by):
                    if not record.wheel.held():
                        return await record.session.act(action)

    async def drive(self, record: Record, viewer: str, action: Action) -> None:
        """Do ``action`` for the person at the wheel when what began before is done.

        Raises `Conflict` when that takes too long, or they have let go meanwhile.
        """
        async with self._turn(record, time.monotonic() + action.timeout_s):
            if not record.wheel.touch(viewer):
                raise Conflict("You let go of the wheel before this could begin.")
            await record.session.act(action)

    @contextlib.asynccontextmanager
    async def _turn(self, record: Record, begins_by: float) -> AsyncIterator[None]:
        async with _held(record.turn, begins_by):
            try:
                yield
            finally:
                record.used = time.monotonic()

    async def save(self, owner: str, name: str) -> dict[str, Any]:
        """Save the session's profile now. Raises `Conflict` for a session without one."""
        record = self.find(owner, name)
        size = await record.save()
        if record.profile is None or size is None:
            raise Conflict("This session has no profile: give `profile` when opening it.")
        return {"name": record.profile.name, "bytes": size}

    def owners(self) -> set[str]:
        """Return the ids of the API keys that have open sessions."""
        return {record.owner for record in self._open.values()}

    async def end_all(self, owner: str) -> None:
        """Close all of a key that has ended; nobody is left to save anything for."""
        mine = self.all(owner)
        await asyncio.gather(*(self._end(record, KEY_ENDED, save=False) for record in mine))

    async def end(self, owner: str, name: str, *, save: bool = True) -> None:
        """Close a session. One whose profile cannot be saved stays open, and the reason is raised:
        its owner may try again, or close it without ``save``.
        """
        record = self.find(owner, name)
        if save:
            await record.save()
        await self._end(record, CLOSED, save=False)

    async def _end(self, record: Record, why: str, *, save: bool = True) -> None:
        if self._open.pop(record.id, None) is None:
            return
        self._endings[record.id] = (record.owner, why)
        if len(self._endings) > KEPT_ENDINGS:
            del self._endings[next(iter(self._endings))]
        record.finished = why
        log.info("browser.session_ended", session=short(record.id), reason=why)
        try:
            if save and not record.session.ended.is_set():
                await self._save_last(record)
            await record.session.close()
        finally:
            if record.profile is not None:
                await record.profile.release()
            self.admission.leave(record.owner)

    async def _save_last(self, record: Record) -> None:
        """Save what nobody asked to save: there is nobody to tell but the log."""
        try:
            await record.save()
        except (AutoBotError, TimeoutError) as error:
            log.error("browser.profile_not_saved", session=short(record.id), reason=str(error))

    async def _look_after(self) -> None:
        """End what is over, and measure what there is: for ever."""
        measured, renewed = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            for record in [*self._open.values()]:
                if why := record.over():
                    self._spawn(self._end(record, why))
            if time.monotonic() - renewed > RENEWED_EVERY_S:
                renewed = time.monotonic()
                self._spawn(self._renew())
            if self.admission.inside and time.monotonic() - measured > MEASURED_EVERY_S:
                await self._meter.measure()
                measured = time.monotonic()
                self.admission.admit()

    async def _renew(self) -> None:
        held = [record.profile for record in self._open.values() if record.profile]
        await asyncio.gather(*(profile.renew() for profile in held))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def facts(self) -> dict[str, Any]:
        """Return how many there are and how much memory they take, in MiB.

        ``sessions`` counts protocol connections and sessions that are opening as well.
        """
        return {
            "sessions": self.admission.inside,
            "sessions_waiting": self.admission.waiting,
            "memory_mib": self._meter.used >> 20,
            "memory_budget_mib": self._meter.budget >> 20,
        }


@contextlib.asynccontextmanager
async def _held(lock: asyncio.Lock, by: float, wheel: Wheel | None = None) -> AsyncIterator[None]:
    """Hold ``lock``, or raise `Conflict` when it is not free ``by`` then (monotonic clock).

    `WheelTaken` when who holds it waits for the ``wheel``.
    """
    try:
        async with asyncio.timeout(by - time.monotonic()):
            await lock.acquire()
    except TimeoutError as error:
        if wheel is not None:
            await wheel.free(0)
        raise Conflict("Another action of this session is still running.") from error
    try:
        yield
    finally:
        lock.release()
