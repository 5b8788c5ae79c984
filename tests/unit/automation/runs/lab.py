"""A store, engines and time that is made."""

import asyncio
from collections import Counter
from typing import Any

from autobot.automation.document import Automation
from autobot.automation.runs.engine import Engine
from autobot.automation.runs.journal import (
    Answer,
    Answered,
    Asked,
    Created,
    JournalEntry,
    decoded,
    encode,
    new_run,
)
from autobot.automation.runs.state import RunState, fold
from autobot.contracts.runs import FakeRuns, Run
from autobot.errors import Unavailable
from tests.unit.automation.runs.tools import Tools

EPOCH = 1_800_000_000_000


class Store(FakeRuns):
    """A store that can be away, on the event loop's clock."""

    def __init__(self) -> None:
        super().__init__(lambda: EPOCH + round(asyncio.get_running_loop().time() * 1000))
        self.away = False

    def __getattribute__(self, name: str) -> Any:
        calls = ("claim", "append", "renew", "read", "put_blob", "blob")
        if name in calls and super().__getattribute__("away"):
            raise Unavailable
        return super().__getattribute__(name)


class Lab:
    """``ran`` counts how often each key's effect has happened."""

    def __init__(self, **tools: Any) -> None:
        self.runs = Store()
        self.versions: dict[str, Automation] = {}
        self.ran: Counter[str] = Counter()
        self.tools = Tools(act=self._act, **tools)
        self.engines: list[tuple[asyncio.Task[None], asyncio.Event]] = []

    async def _act(self, arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        await asyncio.sleep(arguments.get("seconds", 0))
        self.ran[key] += 1
        return arguments.get("output", {"done": True})

    def start(self, tools: Tools | None = None, **more: Any) -> None:
        """Start an engine."""

        async def version(name: str) -> Automation | None:
            return self.versions.get(name)

        engine = Engine(self.runs, tools or self.tools, version, random=lambda: 0.5, **more)
        stop = asyncio.Event()
        self.engines.append((asyncio.create_task(engine.run(stop)), stop))

    async def kill(self) -> None:
        """End the first engine as SIGKILL does: it says nothing to the store."""
        task, _ = self.engines.pop(0)
        away, self.runs.away = self.runs.away, True
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0.01)
        self.runs.away = away

    async def stop(self) -> None:
        """End the first engine as SIGTERM does."""
        task, stop = self.engines.pop(0)
        stop.set()
        await task

    async def submit(self, document: Automation, run: str = "r", **inputs: Any) -> None:
        """Make a run of it."""
        self.versions[f"version-of-{run}"] = document
        created = Created(f"version-of-{run}", inputs=inputs)
        await self.runs.create(new_run(run, document.name, created, most_open=1_000))

    async def ask(self, what: Any, run: str = "r") -> str:
        """Cancel, pause or resume a run."""
        purpose = "end" if what == "cancel" else "other"
        return await self.runs.ask(run, what, encode(Asked(what, by="me")), purpose)

    async def answer(self, step: str, answer: Answer, run: str = "r") -> str:
        """Answer what waits."""
        entry = Answered(step, answer=answer, by="ann")
        return await self.runs.ask(run, f"answer-{step}", encode(entry), "answer")

    async def reach(self, *states: str, run: str = "r", within: float = 7_200) -> Run:
        """Wait until the run is in one of these states."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (shown := await self._show(run)).state not in states:
            assert loop.time() < began + within, (shown, self.entries(run))
            await asyncio.sleep(0.05 if loop.time() < began + 10 else 0.5)
        return shown

    async def _show(self, run: str) -> Run:
        shown = await self.runs.get(run)
        assert shown is not None
        return shown

    def entries(self, run: str = "r") -> list[JournalEntry]:
        """Return the journal."""
        return decoded(self.runs.kept[run].log)

    def state(self, run: str = "r") -> RunState:
        """Return the journal's fold."""
        return fold(self.entries(run))

    def output(self, step: str, run: str = "r") -> Any:
        """Return a step's output."""
        return self.state(run).places[step, None].output

    def statuses(self, run: str = "r") -> dict[str, str]:
        """Return what has become of each step."""
        return {step: place.status for (step, _), place in self.state(run).places.items()}
