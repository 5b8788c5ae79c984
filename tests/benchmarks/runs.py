"""`python -m tests.benchmarks.runs`: what a step costs that does nothing, on a Redis of its own.

Each result is on the disk before the next step begins (appendfsync always). The floor is an XADD of
the same size through the same client, in turns with it.
"""

import asyncio
import tempfile
import time
from pathlib import Path

import redis.asyncio
from pydantic import JsonValue

from autobot.automation.document import Automation, OnUnknown
from autobot.automation.runs.attempts import Work
from autobot.automation.runs.engine import Engine
from autobot.automation.runs.journal import Created, new_run
from autobot.contracts.runs import ENDED
from autobot.settings import Settings
from tests.benchmarks.report import Figure, machine, median, show
from tests.contract.main.conftest import redis_runs
from tests.contract.redis.conftest import Server
from tests.platform import free_ports

STEPS = 50
AT_ONCE = 64
ROUNDS = 3
DEADLINE_S = 300


class Nothing:
    """A tool that does nothing; ``begun`` is when, on the process' own clock."""

    def __init__(self) -> None:
        self.begun: list[float] = []

    def knows(self, use: str) -> bool:
        return True

    def on_unknown(self, use: str) -> OnUnknown:
        return "retry"

    async def execute(self, work: Work) -> JsonValue:
        self.begun.append(time.perf_counter())
        return None


async def steps(server: Server, name: str, many: int) -> tuple[float, float]:
    """Return the median milliseconds from one step to the next, and steps a second of all runs."""
    document = Automation.model_validate(
        {"name": "bench", "steps": [{"id": f"s{n}", "use": "nothing"} for n in range(STEPS)]}
    )

    async def version(version: str) -> Automation:
        return document

    runs, tool, stop = redis_runs(server), Nothing(), asyncio.Event()
    for number in range(many):
        await runs.create(new_run(f"{name}-{number}", name, Created("v")))
    engine = asyncio.create_task(Engine(runs, tool, version).run(stop))
    until = time.monotonic() + DEADLINE_S
    while len(tool.begun) < many * STEPS:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    stop.set()
    await engine
    assert all(run.state in ENDED for run in await runs.list(name))
    await runs.close()
    gaps = [b - a for a, b in zip(tool.begun, tool.begun[1:], strict=False)]
    took = tool.begun[-1] - tool.begun[0]
    return median(gaps) * 1000, len(tool.begun) / took


async def appends(server: Server, name: str, many: int) -> tuple[float, float]:
    """Return the median milliseconds of a raw XADD, and XADDs a second of so many writers."""
    client = redis.asyncio.Redis(
        port=server.settings.redis_port,
        username="main",
        password=server.secrets.read("redis/main"),
        max_connections=AT_ONCE,
    )
    body = b'{"kind":"succeeded","step":"s1"}{"kind":"started","step":"s2"}'
    taken: list[float] = []

    async def write(number: int) -> None:
        for _ in range(STEPS):
            began = time.perf_counter()
            await client.xadd(f"autobot:main:bench:{name}:{number}", {"t": 1, "a": 1, "b": body})
            taken.append(time.perf_counter() - began)

    await client.ping()
    started = time.perf_counter()
    await asyncio.gather(*(write(number) for number in range(many)))
    rate = len(taken) / (time.perf_counter() - started)
    await client.aclose()
    return median(taken) * 1000, rate


async def measure(server: Server) -> list[Figure]:
    """Measure a step and its floor in turns, `ROUNDS` times."""
    alone: list[tuple[float, float]] = []
    crowd: list[tuple[float, float]] = []
    for turn in range(ROUNDS):
        floor, _ = await appends(server, f"one-{turn}", 1)
        step, _ = await steps(server, f"one-{turn}", 1)
        alone.append((step, floor))
        _, raw = await appends(server, f"many-{turn}", AT_ONCE)
        _, rate = await steps(server, f"many-{turn}", AT_ONCE)
        crowd.append((rate, raw))
    medians = [median([pair[n] for pair in pairs]) for pairs in (alone, crowd) for n in (0, 1)]
    return [
        Figure("a step that does nothing, p50", medians[0], medians[1], "ms", "at most 4 ms"),
        Figure(f"steps, {AT_ONCE} runs at once", medians[2], medians[3], "steps/s", "0.60, > 370"),
    ]


def main() -> None:
    """Print the table and write ``bench-runs.json``."""
    where = machine()
    with tempfile.TemporaryDirectory(prefix="autobot-bench-") as folder:
        settings = Settings(home=Path(folder) / "home", redis_port=free_ports(1)[0])
        settings.run_dir.mkdir(parents=True)
        server = Server(settings)
        server.start()
        try:
            figures = asyncio.run(measure(server))
        finally:
            server.kill()
    show(figures, where, Path("bench-runs.json"))


if __name__ == "__main__":
    main()
