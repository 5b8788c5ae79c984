"""A store of runs: the fake, and Redis with the platform's own configuration and users."""

from collections.abc import AsyncIterator, Callable

import pytest

from autobot.contracts.runs import LEASE_S, FakeRuns, Runs
from deployments.main.automation.store.connection import connect
from deployments.main.automation.store.runs import RedisRuns
from tests.contract.redis.conftest import Server, redis_stack, server

__all__ = ["redis_stack", "server"]

MakeRuns = Callable[[float], Runs]


def redis_runs(server: Server, lease_s: float = LEASE_S) -> RedisRuns:
    """Room main's own user on that server."""
    password = server.secrets.read("redis/main")
    client = connect("127.0.0.1", server.settings.redis_port, "main", password)
    return RedisRuns(client, lease_s)


@pytest.fixture(params=["fake", "redis"])
async def make_runs(request: pytest.FixtureRequest) -> AsyncIterator[MakeRuns]:
    """Makes a store whose leases last so many seconds."""
    made: list[RedisRuns] = []

    def make(lease_s: float) -> Runs:
        if request.param == "fake":
            return FakeRuns(lease_s=lease_s)
        made.append(redis_runs(request.getfixturevalue("server"), lease_s))
        return made[-1]

    if request.param == "redis":
        request.getfixturevalue("server")
    yield make
    for runs in made:
        await runs.close()


@pytest.fixture
def runs(make_runs: MakeRuns) -> Runs:
    return make_runs(LEASE_S)
