"""What only Redis can show: lost replies, stopped workers, restarts, memory and space."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

import pytest
from redis import exceptions

from autobot.contracts.runs import NewRun, Release
from autobot.errors import Unavailable
from deployments.main.automation.store.connection import connect, translated
from deployments.main.automation.store.runs import RedisRuns
from tests.contract.main.conftest import redis_runs
from tests.contract.main.test_runs import bodies, claim_one, new
from tests.contract.redis.conftest import Server

WORKER = """
import asyncio, sys
from deployments.main.automation.store.connection import connect
from deployments.main.automation.store.runs import RedisRuns

async def main():
    client = connect("127.0.0.1", int(sys.argv[1]), "main", sys.stdin.readline().strip())
    runs = RedisRuns(client, 1.0)
    (lease,) = (await runs.claim(1)).leases
    print("claimed", await runs.append(lease, 2, [b"started"]), flush=True)
    sys.stdin.readline()
    print(await runs.append(lease, 3, [b"late"]), flush=True)

asyncio.run(main())
"""


class LossyProxy:
    """Forwards to Redis; while ``losing``, what Redis replies is dropped with the connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.losing = False
        self.lost = 0

    async def __aenter__(self) -> "LossyProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _serve(self, client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        redis, request = await asyncio.open_connection("127.0.0.1", self._port)

        async def forward() -> None:
            while data := await client.read(1 << 16):
                request.write(data)
            request.close()

        forwarding = asyncio.create_task(forward())
        while data := await redis.read(1 << 16):
            if self.losing:
                self.lost += 1
                break
            reply.write(data)
        reply.close()
        request.close()
        forwarding.cancel()


@pytest.fixture
async def runs(server: Server) -> AsyncIterator[RedisRuns]:
    made = redis_runs(server)
    yield made
    await made.close()


async def test_a_call_whose_reply_is_lost_is_repeated_without_harm(
    server: Server, runs: RedisRuns
) -> None:
    async with LossyProxy(server.settings.redis_port) as proxy:
        password = server.secrets.read("redis/main")
        lossy = RedisRuns(connect("127.0.0.1", proxy.port, "main", password))
        await lossy.create(new("warm"))
        warm = await claim_one(lossy)
        await lossy.append(warm, 2, [b"x"])
        await lossy.ask("warm", "warm", b"x")

        async def lose(call: str, *args: object) -> None:
            proxy.losing = True
            with pytest.raises(Unavailable):
                await getattr(lossy, call)(*args)
            proxy.losing = False

        await lose("create", new("a"))
        assert await lossy.create(new("a")) == "there"
        await lose("claim", 1)
        assert (await lossy.claim(5)).leases == (), "that lease is nobody's until it ends"
        await lossy.append(warm, 4, [], Release("waiting", 0))
        lease = await claim_one(lossy)
        await lose("append", lease, 4, [b"y", b"z"])
        assert await lossy.append(lease, 4, [b"y", b"z"]) == "duplicate"
        await lose("ask", "warm", "cancel", b"stop")
        assert await lossy.ask("warm", "cancel", b"stop") == "duplicate"
        await lose("append", lease, 7, [b"end"], Release("succeeded"))
        assert await lossy.append(lease, 7, [b"end"], Release("succeeded")) == "duplicate"
        assert (await bodies(runs, "warm"))[1:] == [b"x", b"x", b"y", b"z", b"stop", b"end"]
        assert proxy.lost == 5
        await lossy.close()


async def test_a_stopped_workers_late_append_is_refused(server: Server) -> None:
    """windmill PR#9214: SIGSTOP past the lease, go on: the stale append is refused."""
    runs = redis_runs(server, 1.0)
    await runs.create(new("a"))
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        str(server.settings.redis_port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(server.secrets.read("redis/main").encode() + b"\n")
        claimed = await asyncio.wait_for(worker.stdout.readline(), 60)
        assert claimed == b"claimed ok\n"
        worker.send_signal(signal.SIGSTOP)
        lease = await claim_one(runs)
        assert await runs.append(lease, 3, [b"result"]) == "ok"
        worker.send_signal(signal.SIGCONT)
        worker.stdin.write(b"\n")
        assert await asyncio.wait_for(worker.stdout.readline(), 60) == b"fenced\n"
        assert await worker.wait() == 0
    finally:
        if worker.returncode is None:
            worker.kill()
    assert (await bodies(runs, "a"))[1:] == [b"started", b"result"]
    await runs.close()


async def test_a_killed_redis_has_everything_that_was_acknowledged(
    server: Server, runs: RedisRuns
) -> None:
    await runs.create(new("a"))
    lease = await claim_one(runs)
    await runs.append(lease, 2, [b"started"])
    await runs.put_blob(lease, "big", b"\x00" * 100_000)
    await runs.ask("a", "pause", b"pause")
    await runs.create(new("b", due=10**13))
    await runs.schedule("daily", 10**13)
    before = [await runs.list(), await runs.read("a"), await runs.blob("a", "big")]
    server.kill()
    with pytest.raises(Unavailable):
        await runs.claim(1)
    server.start()
    deadline = time.monotonic() + 20
    while True:
        try:
            renewed = await runs.renew([lease])
            break
        except Unavailable:
            assert time.monotonic() < deadline
    assert renewed.last == {"a": 3}, "the lease outlives a restart"
    assert [await runs.list(), await runs.read("a"), await runs.blob("a", "big")] == before
    assert await runs.append(lease, 4, [b"result"]) == "ok"
    fires = server.client("operator").zrange("autobot:main:fires", 0, -1)
    assert fires == ["daily"]


async def test_a_redis_that_is_away_is_told_at_once(server: Server, runs: RedisRuns) -> None:
    server.kill()
    started = time.monotonic()
    for call in (runs.claim(1), runs.create(new("a")), runs.read("a"), runs.fires()):
        with pytest.raises(Unavailable):
            await call
    assert time.monotonic() - started < 5


async def test_a_full_redis_is_told_and_nothing_is_lost(server: Server, runs: RedisRuns) -> None:
    await runs.create(new("a"))
    lease = await claim_one(runs)
    operator = server.client("operator")
    memory = operator.config_get("maxmemory")["maxmemory"]
    operator.config_set("maxmemory", 1)
    with pytest.raises(Unavailable):
        await runs.append(lease, 2, [b"x"])
    operator.config_set("maxmemory", memory)
    assert await runs.append(lease, 2, [b"x"]) == "ok"


def memory_of(server: Server, run: str) -> int:
    operator = server.client("operator")
    keys = [f"autobot:main:run:{run}", f"autobot:main:run:{run}:log"]
    return sum(operator.memory_usage(key, samples=0) or 0 for key in keys)


async def create_many(runs: RedisRuns, names: list[str], entry: bytes) -> None:
    most = {"most_open": 10**6, "most_running": 10**6, "most_kept": 100}
    for start in range(0, len(names), 64):
        batch = names[start : start + 64]
        await asyncio.gather(*(runs.create(NewRun(n, "many", (entry,), **most)) for n in batch))


async def test_a_waiting_run_takes_at_most_8_kib(server: Server, runs: RedisRuns) -> None:
    """10,000 wait: a created entry of 300 bytes, two steps' results and the entry of a wait."""
    names = [f"{number:032x}" for number in range(10_000)]
    operator = server.client("operator")
    before = operator.info("memory")["used_memory"]
    await create_many(runs, names, b"c" * 300)
    while leases := (await runs.claim(64)).leases:
        entries = [b"started" * 10, b"result" * 50, b"started" * 10, b"result" * 50, b"waiting" * 9]
        await asyncio.gather(
            *(runs.append(lease, 2, entries, Release("waiting", 10**13)) for lease in leases)
        )
    assert len(await runs.list(state="waiting", limit=1_000)) == 1_000
    grown = operator.info("memory")["used_memory"] - before
    print(f"{grown / len(names):.0f} bytes a waiting run, indexes included")
    assert grown / len(names) < 8 << 10
    assert max(memory_of(server, name) for name in names[::100]) < 8 << 10


async def test_history_that_is_deleted_gives_its_space_back(
    server: Server, runs: RedisRuns
) -> None:
    """n8n#37926: the memory after ten rounds is that after two."""
    operator = server.client("operator")
    used: list[int] = []
    for rounds in range(10):
        await create_many(runs, [f"{rounds}-{n}" for n in range(300)], b"x" * 1_000)
        while leases := (await runs.claim(64)).leases:
            await asyncio.gather(
                *(runs.append(one, 2, [b"y" * 1_000], Release("succeeded")) for one in leases)
            )
        while over := await runs.ends():
            await runs.acknowledge([run.id for run in over])
        while await runs.prune():
            pass
        used.append(operator.info("memory")["used_memory"])
    assert len(await runs.list(limit=1_000)) == 100
    assert used[-1] < used[1] + (200 << 10), used
    assert operator.dbsize() < 100 * 2 + 20


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ResponseError("BUSY Redis is busy running a script."),
        exceptions.ReadOnlyError("You can't write against a read only replica."),
    ],
)
def test_a_redis_that_may_take_it_later_is_away(error: Exception) -> None:
    with pytest.raises(Unavailable), translated():
        raise error
