"""The sentence of promise holds under every schedule, and the simulation sees when it does not."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from autobot.contracts.runs import Appended, FakeRuns, Lease, Release, Renewals
from tests.unit.automation.runs.simulation import Schedule, schedules, simulate

QUICK, LONG = 600, 20_000
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("autobot.automation").setLevel(logging.CRITICAL)


@settings(max_examples=QUICK, deadline=None, suppress_health_check=CHECKS, derandomize=True)
@given(schedules())
def test_the_promise_is_kept_whatever_goes_wrong(schedule: Schedule) -> None:
    assert simulate(schedule) == []


@pytest.mark.drill
@pytest.mark.timeout(1_800)
def test_the_promise_is_kept_in_twenty_thousand_more_schedules() -> None:
    @settings(max_examples=LONG, deadline=None, suppress_health_check=CHECKS, database=None)
    @given(schedules())
    def kept(schedule: Schedule) -> None:
        assert simulate(schedule) == []

    kept()


class WithoutFencing(FakeRuns):
    """Takes an append under any lease."""

    async def append(
        self, lease: Lease, seq: int, entries: Sequence[bytes], release: Release | None = None
    ) -> Appended:
        kept = self.kept[lease.run]
        kept.held = True
        return await super().append(Lease(lease.run, kept.token), seq, entries, release)


class WithoutSequence(FakeRuns):
    """Writes whatever number the worker says."""

    async def append(
        self, lease: Lease, seq: int, entries: Sequence[bytes], release: Release | None = None
    ) -> Appended:
        return await super().append(lease, len(self.kept[lease.run].log) + 1, entries, release)


class WithoutRenewal(FakeRuns):
    """Says that leases are renewed and lets them end."""

    async def renew(self, leases: Sequence[Lease]) -> Renewals:
        due = {name: kept.due for name, kept in self.kept.items()}
        renewals = await super().renew(leases)
        for name, at in due.items():
            self.kept[name].due = at
        return renewals


def act(
    step: str, before: int = 0, after: int = 0, on_unknown: str = "retry", **more: Any
) -> dict[str, Any]:
    arguments = {"before": before, "after": after, "fails": 0, "final": False, "large": False}
    arguments |= more.pop("arguments", {})
    retry = {"attempts": 1}
    step_ = {"id": step, "use": "act", "with": arguments, "on_unknown": on_unknown, "retry": retry}
    return step_ | more


SEEN = {
    # The request of a renewal hangs for longer than the lease; both engines go on.
    WithoutFencing: (
        Schedule(
            (act("a", 35, 12, "fail"), act("b", 35, 12, "fail")),
            faults={(0, "renew", 3): "late"},
        ),
        "the journal goes on after the run's end",
    ),
    WithoutSequence: (
        Schedule((act("a", 2, 2), act("b", 0, 12)), faults={(0, "append", 1): "lost reply"}),
        "attempt 1 of ('a', None) is recorded 2 times",
    ),
    WithoutRenewal: (Schedule((act("a", 35, 2),)), "a was begun 11 times and nothing was wrong"),
}


@pytest.mark.parametrize("store", SEEN)
def test_the_simulation_sees_a_store_that_does_not_check(store: type[FakeRuns]) -> None:
    schedule, said = SEEN[store]
    assert simulate(schedule) == []
    assert said in simulate(schedule, store)


FAIL = {"fails": 9, "final": True}
HAPPENED = {
    "a handler's follower needs what never began": Schedule(
        (
            act("a", arguments=FAIL),
            act("b"),
            act("tell"),
            act("told", needs=["tell", "b"]),
        ),
        on_error="tell",
    ),
    "a run fails while an attempt is orphaned": Schedule(
        (
            act("a", 35, on_unknown="ask", needs=[]),
            act("b", 35, arguments=FAIL, needs=[]),
        ),
        crashes=((0, 1.0), (1, 1.0)),
    ),
    "a handler is left out": Schedule(
        (act("a", arguments=FAIL, on_error="h"), act("h", **{"if": False}))
    ),
    "a large result is read after a restart": Schedule(
        (
            act("a", arguments={"large": True}),
            {"id": "w", "use": "wait", "with": {"seconds": 20}},
            act("b", needs=["a", "w"], arguments={"source": "a", "read": "${{ steps.a }}"}),
        ),
        faults={(0, "blob", 1): "lost reply", (1, "blob", 1): "lost request"},
        crashes=((0, 12.0), (1, 12.0)),
    ),
    "a step's beginning is answered late": Schedule(
        (act("a", 2, 2, "fail"),),
        faults={
            (0, "append", 1): "late reply",
            (1, "append", 1): "late reply",
            **{(n, "renew", k): "late" for n in (0, 1) for k in (1, 2)},
        },
    ),
}


@pytest.mark.parametrize("what", HAPPENED)
def test_what_happened_once_does_not_happen_again(what: str) -> None:
    assert simulate(HAPPENED[what]) == []
