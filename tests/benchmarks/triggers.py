"""`python -m tests.benchmarks.triggers`: how late 1,000 schedules of one instant fire, how soon an
engine works that comes up beside 10,000 waiting runs, and what each of these costs."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from autobot.contracts.keys import FakeKeys
from autobot.contracts.secrets import FakeSecrets
from autobot.keys import KeyRing, NewKey, make_key
from autobot.settings import Settings
from autobot.tools.registry import Registry
from deployments.main.automation.room import AutomationRoom
from deployments.main.automation.starts import Trigger
from deployments.main.automation.store.automations import RedisAutomations
from deployments.main.automation.store.connection import connect
from deployments.main.automation.store.runs import RedisRuns
from tests.benchmarks.report import Figure, machine, median, show
from tests.contract.redis.conftest import Server
from tests.platform import free_ports

T = TypeVar("T")

SCHEDULES = 1_000
WAITING = 10_000
WITHIN_S = 120
DOCUMENT = """\
name: NAME
on:
  schedule: {cron: "* * * * *", timezone: Europe/Riga}
steps:
  - {id: pause, use: wait, with: {seconds: 0}}
"""
ASK = """\
name: asks
mode: parallel
steps:
  - {id: ok, use: approve, with: {message: Go on?}}
"""
QUICK = "name: quick\nsteps:\n  - {id: pause, use: wait, with: {seconds: 0}}\n"


class Main:
    """Room main's automations on a Redis."""

    def __init__(self, server: Server) -> None:
        password = server.secrets.read("redis/main")
        self.redis = connect("127.0.0.1", server.settings.redis_port, "main", password)
        self.author = make_key(NewKey(name="owner", scopes=("admin",)))[1]
        keys = FakeKeys([self.author])
        ring = KeyRing(keys.records)
        automations, runs = RedisAutomations(self.redis), RedisRuns(self.redis)
        self.room = AutomationRoom(
            automations, runs, keys, ring, Registry({}), ring.refresh, FakeSecrets()
        )
        self.runs = runs

    async def publish(self, name: str, text: str) -> None:
        await self.room.service.save(text, self.author, None)
        await self.room.service.publish(name, None, self.author)

    async def running(self) -> Any:
        return self.room._running(None)  # pyright: ignore[reportPrivateUsage, reportArgumentType]


async def lateness(server: Server) -> list[float]:
    """Milliseconds between each schedule's instant and the making of its run."""
    main = Main(server)
    for number in range(SCHEDULES):
        name = f"s{number}"
        await main.publish(name, DOCUMENT.replace("NAME", name))
    async with await main.running():
        at = round((time.time() + 10) // 60 + 1) * 60_000  # the next whole minute
        await asyncio.sleep(at / 1000 - time.time())
        late: list[float] = []
        ends = time.monotonic() + WITHIN_S
        while len(late) < SCHEDULES and time.monotonic() < ends:
            await asyncio.sleep(1)
            made = await main.runs.list(limit=1_000)
            late = [run.created - at for run in made if run.created >= at]
    await main.redis.aclose()
    return sorted(late)


async def waiting(server: Server) -> tuple[float, float]:
    """Bytes of Redis for each waiting run, and the seconds to the first step of another one once an
    engine has come up again."""
    main = Main(server)
    await main.publish("asks", ASK)
    await main.publish("quick", QUICK)
    operator = server.client("operator")
    before = operator.info("memory")["used_memory"]
    kept = await main.room.service.automations.get("asks")
    automation = await main.room.starts.published(kept)
    assert automation is not None
    for first in range(0, WAITING, 100):
        made = [
            replace(
                main.room.starts.new_run(kept, automation, f"w{number}", {}, Trigger("bench")),
                most_open=WAITING,
                most_running=WAITING,
            )
            for number in range(first, first + 100)
        ]
        await asyncio.gather(*(main.runs.create(one) for one in made))
    stop = asyncio.Event()
    engine = asyncio.create_task(main.room.engine.run(stop))
    ends = time.monotonic() + WITHIN_S * 3
    while time.monotonic() < ends:
        await asyncio.sleep(0.5)
        if not await main.runs.list("asks", "queued", limit=1) and not await main.runs.list(
            "asks", "running", limit=1
        ):
            break
    stop.set()
    await engine
    each = (operator.info("memory")["used_memory"] - before) / WAITING
    again = Main(server)
    await again.room.starts.start("quick", "quick-1", {}, Trigger("bench"))
    begun = time.perf_counter()
    async with await again.running():
        while not await again.runs.list("quick", "succeeded"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        took = time.perf_counter() - begun
    for one in (main, again):
        await one.redis.aclose()
    return each, took


def on_redis(measure: Callable[[Server], Awaitable[T]]) -> T:
    """Measure on a Redis that has nothing else."""
    with tempfile.TemporaryDirectory(prefix="autobot-bench-") as folder:
        settings = Settings(home=Path(folder) / "home", redis_port=free_ports(1)[0])
        settings.run_dir.mkdir(parents=True)
        server = Server(settings)
        server.start()
        try:
            return asyncio.run(measure(server))  # pyright: ignore[reportArgumentType]
        finally:
            server.kill()


def main() -> None:
    """Print the table and write ``bench-triggers.json``."""
    where = machine()
    late = on_redis(lateness)
    each, took = on_redis(waiting)
    p99 = late[len(late) * 99 // 100 - 1]
    note = f"{len(late)} of {SCHEDULES} fired"
    figures = [
        Figure("a waiting run in Redis", each / 1024, None, "KiB", "at most 8"),
        Figure(f"engine up to first step, {WAITING} waiting", took, None, "s", "below 5"),
        Figure("schedules at one instant, late p50", median(late), None, "ms", "", note),
        Figure("schedules at one instant, late p99", p99, None, "ms", "below 1,000", note),
    ]
    show(figures, where, Path("bench-triggers.json"))


if __name__ == "__main__":
    main()
