"""The sentence of promise holds under every schedule, and the simulation sees when it does not."""

import logging
import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from autobot.contracts.runs import Appended, FakeRuns, Lease, Release, Renewals
from tests.unit.automation.runs.simulation import Schedule, schedules, simulate

QUICK, LONG = 1_500, 20_000
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


@pytest.mark.parametrize("store", [WithoutFencing, WithoutSequence, WithoutRenewal])
def test_the_simulation_sees_a_store_that_does_not_check(store: type[FakeRuns]) -> None:
    limits = settings(max_examples=3_000, deadline=None, database=None, phases=[Phase.generate])
    try:
        schedule = find(
            schedules(),
            lambda s: simulate(s, store) != [],
            settings=limits,
            random=random.Random(1),  # noqa: S311
        )
    except NoSuchExample:
        pytest.fail("the simulation saw nothing")
    print(store.__name__, simulate(schedule, store)[:2])
