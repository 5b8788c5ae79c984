"""The truth about six rooms, known at all times and told within a deadline.

A monitor probes every room in parallel, once a second, and remembers when each changed. A request
reads what it last saw, so a dead VM never makes an answer slow.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from autobot import __version__
from autobot.contracts.health import (
    NodeRef,
    PlatformHealth,
    RoomHealth,
    RoomReport,
    State,
    VmHealth,
)

INTERVAL_S = 1.0
# To read Serve's whole status takes this process almost a tenth of a second of processor time.
SERVING_INTERVAL_WELL_S = 10.0
SERVING_INTERVAL_UNWELL_S = 2.0

Probe = Callable[[str], Awaitable[Sequence[RoomReport]]]
"""Takes a Serve application's name, returns what its replicas report, or raises."""

AskServing = Callable[[], Awaitable["Serving"]]
"""What Serve says now; raises what it likes when Serve does not answer."""

Expected = Callable[[], Mapping[str, Sequence[str]]]
"""Room -> the addresses of its VMs, for rooms of which each VM has to serve."""

Vms = Expected
"""Room -> the addresses of all its VMs, to name those of a room that does not answer."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Sighting:
    """One application as the last probe saw it; ``reports`` in the order of their addresses."""

    state: State
    reason: str | None = None
    latency_ms: float | None = None
    reports: Sequence[RoomReport] = ()


@dataclass
class Serving:
    """What Serve says of the applications: running replicas, and its own words when unhappy."""

    replicas: Mapping[str, int] = field(default_factory=dict[str, int])
    messages: Mapping[str, str] = field(default_factory=dict[str, str])


def now_iso() -> str:
    """Return the time in UTC with milliseconds, for example ``2026-01-31T12:00:00.000Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def overall(states: Sequence[State]) -> State:
    """Of rooms, or replicas. ok: every one is; down: none is up; degraded: anything between."""
    if all(state == "ok" for state in states):
        return "ok"
    return "down" if all(state == "down" for state in states) else "degraded"


def in_order(address: str) -> tuple[int, ...]:
    """A key to sort IPv4 addresses by: .9 before .10."""
    return tuple(int(part) for part in address.split(".") if part.isdigit())


def missed(app: str, seen: Sighting, expected: Sequence[str]) -> Sighting:
    """What was ``seen``, degraded when some answered and others of the ``expected`` VMs did not."""
    silent = [vm for vm in expected if vm not in {report.address for report in seen.reports}]
    if not seen.reports or not silent:
        return seen
    said = f"{app}: no answer from {', '.join(silent)}"
    reason = f"{seen.reason}; {said}" if seen.reason else said
    return replace(seen, state=overall([seen.state, "down"]), reason=reason)


def placed(found: RoomHealth, vms: Sequence[str]) -> RoomHealth:
    """A room of which nothing answers, with the ``vms`` to look at in its reason."""
    if not vms or found.reason is None:
        return found
    return found.model_copy(update={"reason": f"{found.reason} (on {', '.join(vms)})"})


def vm_health(reports: Sequence[RoomReport]) -> VmHealth:
    """Put together what the applications of a room say on one VM, the first of them foremost."""
    facts: dict[str, Any] = {}
    for report in reversed(reports):
        facts.update(report.facts)
    node = NodeRef(id=reports[0].node_id, address=reports[0].address)
    state = overall([report.state for report in reports])
    return VmHealth(node=node, state=state, reason=why(reports), facts=facts)


def why(reports: Sequence[RoomReport]) -> str | None:
    """The reasons of those that are not well, with the VM of each when there are several."""
    several = len({report.address for report in reports}) > 1
    told = [f"{r.address}: {r.reason}" if several else r.reason for r in reports if r.reason]
    return "; ".join(told) or None


class HealthMonitor:
    """Probes ``apps`` (room -> its Serve applications) until stopped."""

    def __init__(
        self,
        apps: Mapping[str, Sequence[str]],
        probe: Probe,
        ask_serving: AskServing,
        deadline_s: float = 0.8,
        expected: Expected = dict,
        vms: Vms = dict,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        """``left_out`` says why a room is in no application: it is reported as down."""
        self._apps = apps
        self._left_out = left_out or {}
        self._vms = vms
        self._probe = probe
        self._ask_serving = ask_serving
        self._deadline_s = deadline_s
        self._expected = expected
        self._tasks: list[asyncio.Task[None]] = []
        self._asked: asyncio.Future[Serving] | None = None
        self._serving = Serving()
        self._sightings: dict[str, Sighting] = {}
        start = now_iso()
        self._rooms: dict[str, RoomHealth] = {
            room: RoomHealth(room=room, state="down", since=start, reason="not probed yet")
            for room in apps
        }
        for room, reason in self._left_out.items():
            self._rooms[room] = RoomHealth(room=room, state="down", since=start, reason=reason)

    def start(self) -> None:
        """Begin to probe in the running event loop; a second call does nothing."""
        if not self._tasks:
            for room, reason in self._left_out.items():
                log.warning("room.left_out", room=room, reason=reason)
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(self._watch_rooms()),
                loop.create_task(self._watch_serving()),
            ]

    async def stop(self) -> None:
        """End the probes and wait for their end; `health` keeps what they saw."""
        running = [*self._tasks, *([self._asked] if self._asked else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._tasks, self._asked = [], None

    async def _watch_rooms(self) -> None:
        while True:
            started = time.monotonic()
            await self.sweep()
            await asyncio.sleep(max(0.05, INTERVAL_S - (time.monotonic() - started)))

    async def _watch_serving(self) -> None:
        """Ask Serve often while a room is not ok, else rarely."""
        asked = -math.inf
        while True:
            if time.monotonic() - asked >= self._serving_interval_s():
                asked = time.monotonic()
                await self._refresh_serving()
            await asyncio.sleep(INTERVAL_S)

    def _serving_interval_s(self) -> float:
        well = all(self._rooms[room].state == "ok" for room in self._apps)
        return SERVING_INTERVAL_WELL_S if well else SERVING_INTERVAL_UNWELL_S

    async def _refresh_serving(self) -> None:
        """Ask Serve; while it does not answer, what it said last stands.

        One question at a time: each takes a thread, and a dead controller would take them all.
        """
        asked = self._asked = self._asked or asyncio.ensure_future(self._ask_serving())
        try:
            self._serving = await asyncio.wait_for(asyncio.shield(asked), self._deadline_s)
        except Exception as error:
            log.warning("serve.status_failed", reason=str(error) or type(error).__name__)
        if asked.done():
            self._asked = None

    async def sweep(self) -> PlatformHealth:
        """Probe everything once, in parallel, within the deadline."""
        names = [name for apps in self._apps.values() for name in apps]
        seen = await asyncio.gather(*(self._look(name) for name in names))
        self._sightings = dict(zip(names, seen, strict=True))
        if any(self._sightings[n].reports and not self._serving.replicas.get(n) for n in names):
            # It answers, so it has a replica: Serve was last asked before that one ran.
            await self._refresh_serving()
        expected, vms = self._expected(), self._vms()
        for room, apps in self._apps.items():
            found = self._conclude(room, apps, expected.get(room, ()))
            self._record(found if found.vms else placed(found, vms.get(room, ())))
        return self.health

    @property
    def health(self) -> PlatformHealth:
        """What the last probes saw; it asks nobody. A room that was not probed yet is down."""
        states: list[State] = [room.state for room in self._rooms.values()]
        return PlatformHealth(state=overall(states), version=__version__, rooms=dict(self._rooms))

    async def _look(self, app: str) -> Sighting:
        started = time.perf_counter()
        try:
            answers = await asyncio.wait_for(self._probe(app), self._deadline_s)
            reports = [RoomReport.model_validate(answer) for answer in answers]
        except TimeoutError:
            said = self._serving.messages.get(app)
            reason = f"{app}: no answer within {self._deadline_s} s"
            return Sighting("down", f"{reason}; Serve says: {said}" if said else reason)
        except Exception as error:  # whatever a probe raises is the reason shown to the owner
            return Sighting("down", f"{app}: {str(error) or type(error).__name__}")
        latency = round((time.perf_counter() - started) * 1000, 2)
        reports.sort(key=lambda report: in_order(report.address))
        return Sighting(overall([r.state for r in reports]), why(reports), latency, reports)

    def _conclude(self, room: str, apps: Sequence[str], expected: Sequence[str]) -> RoomHealth:
        """A room is as well as its worst application; one dead of several is degraded.

        So is one with an application that does not answer on each of the ``expected`` VMs.
        """
        seen = {app: missed(app, self._sightings[app], expected) for app in apps}
        states: list[State] = [sighting.state for sighting in seen.values()]
        reasons = [sighting.reason for sighting in seen.values() if sighting.reason]
        by_vm: dict[str, list[RoomReport]] = {}
        for report in (r for sighting in seen.values() for r in sighting.reports):
            by_vm.setdefault(report.address, []).append(report)
        vms = [vm_health(by_vm[vm]) for vm in sorted(by_vm, key=in_order)]
        reports = by_vm[vms[0].node.address] if vms else []
        latencies = [s.latency_ms for s in seen.values() if s.latency_ms is not None]
        first = reports[0] if reports else None
        models = (model for vm in by_vm.values() for report in vm for model in report.models)
        return RoomHealth(
            room=room,
            state=overall(states),
            since=now_iso(),
            reason="; ".join(reasons) or None,
            latency_ms=max(latencies, default=None),
            node=vms[0].node if vms else None,
            replicas=sum(self._serving.replicas.get(app, 0) for app in apps),
            device=first.device if first else None,
            models=[*dict.fromkeys(models)],
            version=first.version if first else None,
            facts=vms[0].facts if vms else {},
            vms=vms,
        )

    def _record(self, found: RoomHealth) -> None:
        before = self._rooms[found.room]
        if found.state == before.state and before.reason != "not probed yet":
            found = found.model_copy(update={"since": before.since})
        else:
            log.info("room.state", room=found.room, state=found.state, reason=found.reason)
        self._rooms[found.room] = found
