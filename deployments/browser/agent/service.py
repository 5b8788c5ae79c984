"""The tasks of one replica: whose they are, what became of them, and who is told.

A task lives in the replica that runs it and is never begun again by itself: half of a purchase must
not be made twice. What it did is kept for a while after its end.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from autobot.errors import Busy, Conflict, NotFound, Unauthenticated
from deployments.browser.admission import fair
from deployments.browser.agent.schemas import NewTask, State
from deployments.browser.sessions.service import Record

MOST_AT_ONCE = 8
MOST_OF_A_KEY = 4
KEPT_TASKS = 20
"""Finished ones; their pictures are the most of what they weigh."""
KEPT_S = 3600.0
PICTURES = 25
"""Only the newest steps keep their picture: about half a megabyte a task."""
MOST_PAGES = 100
STOP_S = 20.0


@dataclass(frozen=True)
class Event:
    """Something that happened. Numbers count from 1 without gaps."""

    number: int
    kind: str
    data: dict[str, Any]


@dataclass(eq=False)
class Task:
    """One goal being pursued, and everything a caller may know of it."""

    id: str
    """Its session's, with another letter in front: it is found on the same VM."""
    owner: str
    wanted: NewTask
    key: SecretStr
    record: Record
    state: State = "running"
    created: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    limit: str | None = None
    error: dict[str, str] | None = None
    result: str | None = None
    output: dict[str, Any] | None = None
    question: str | None = None
    pages: list[str] = field(default_factory=list[str])
    steps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tokens: int = 0
    requests: int = 0
    events: list[Event] = field(default_factory=list[Event])
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _reply: asyncio.Future[str] | None = None

    def tell(self, kind: str, **data: Any) -> None:
        """Add an event and wake everyone who listens."""
        event = Event(len(self.events) + 1, kind, data)
        self.events.append(event)
        if kind == "step":
            pictured = [e for e in self.events if e.data.get("thumbnail")]
            for old in pictured[:-PICTURES]:
                old.data["thumbnail"] = None
        news, self._news = self._news, asyncio.Event()
        news.set()

    def step(self, picture: str | None, **data: Any) -> None:
        """Keep a step, and tell it with its ``picture``."""
        numbered = {"step": len(self.steps) + 1, **data}
        self.steps.append(numbered)
        self.tell("step", **numbered, thumbnail=picture)

    def visited(self, url: str) -> None:
        """Note an http(s) page, each once and in the order of first visits, up to `MOST_PAGES`."""
        if url.startswith("http") and url not in self.pages and len(self.pages) < MOST_PAGES:
            self.pages.append(url)

    async def ask(self, question: str, patience_s: float) -> str | None:
        """Ask the person; None when nobody answers in time."""
        self._reply = asyncio.get_running_loop().create_future()
        self.question, self.state = question, "waiting"
        self.tell("question", question=question, answer_within_s=patience_s)
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._reply
        except TimeoutError:
            answer = None
        finally:
            self._reply, self.question, self.state = None, None, "running"
        self.tell("answer", answer=answer)
        return answer

    def answer(self, said: str) -> None:
        """Raises `Conflict` when nothing is asked."""
        if self._reply is None or self._reply.done():
            raise Conflict("This task asks nothing at the moment.")
        self._reply.set_result(said)

    def end(self, state: State, **facts: Any) -> None:
        """Set how it ended, once: ``limit``, ``error``, ``result`` or ``output`` say more."""
        if self.ended is not None:
            return
        self.state, self.ended = state, time.monotonic()
        for name, value in facts.items():
            setattr(self, name, value)
        self.key = SecretStr("")
        self.tell("end", **self.summary())

    async def until_ended(self, patience_s: float) -> None:
        """Return at its end, or after ``patience_s``."""
        try:
            async with asyncio.timeout(patience_s):
                while self.ended is None:
                    await self._news.wait()
        except TimeoutError:
            return

    async def listen(self, after: int, beat_s: float) -> AsyncGenerator[Event | None, None]:
        """Yield the events after number ``after``, and None for every quiet ``beat_s``."""
        position = max(0, after)
        while True:
            news = self._news
            while position < len(self.events):
                event = self.events[position]
                position += 1
                yield event
            if self.ended is not None:
                return
            try:
                async with asyncio.timeout(beat_s):
                    await news.wait()
            except TimeoutError:
                yield None

    def describe(self) -> dict[str, Any]:
        """Return what its owner is told: the `summary`, and the steps without their pictures."""
        return {**self.summary(), "steps": self.steps}

    def summary(self) -> dict[str, Any]:
        """Everything but the steps."""
        until = self.ended if self.ended is not None else time.monotonic()
        return {
            "id": self.id,
            "session": self.record.id,
            "goal": self.wanted.goal,
            "model": self.wanted.model,
            "state": self.state,
            "limit": self.limit,
            "error": self.error,
            "question": self.question,
            "result": self.result,
            "output": self.output,
            "pages": self.pages,
            "created": self.created,
            "usage": {
                "steps": len(self.steps),
                "requests": self.requests,
                "tokens": self.tokens,
                "seconds": round(until - self.began, 1),
            },
        }


class Tasks:
    """Starts, finds and cancels tasks. Another key's task is as good as none: `NotFound`."""

    def __init__(self, most: int = MOST_AT_ONCE, most_of_a_key: int = MOST_OF_A_KEY) -> None:
        self._most, self._most_of_a_key = most, most_of_a_key
        self._tasks: dict[str, Task] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._places: Counter[str] = Counter()

    def enter(self, owner: str) -> None:
        """Take a place. Raises `Busy` when there is none for ``owner``; `leave` gives it back."""
        held, free = self._places[owner], self._most - self._places.total()
        if not free:
            raise Busy(f"{self._most} tasks are running; try again when one has ended.")
        if held >= self._most_of_a_key or not fair(held, free):
            raise Busy(f"{held} tasks of this API key are running; what is left is for others.")
        self._places[owner] += 1

    def leave(self, owner: str) -> None:
        """Give back one place that `enter` took; `run` does that for a task it runs."""
        self._places[owner] -= 1

    def add(self, wanted: NewTask, owner: str, key: SecretStr, record: Record) -> Task:
        """Keep a new task in the session ``record``. It takes no place and does not run yet."""
        self._forget()
        task = Task(f"t{record.id.removeprefix('s')}", owner, wanted, key, record)
        self._tasks[task.id] = task
        return task

    def run(self, task: Task, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work`` for ``task``, whose place is given back at the end."""
        running = asyncio.get_running_loop().create_task(work)
        self._running[task.id] = running

        def over(_: asyncio.Task[None]) -> None:
            self._running.pop(task.id, None)
            self.leave(task.owner)

        running.add_done_callback(over)

    def all(self, owner: str) -> list[Task]:
        """Return ``owner``'s tasks, oldest first: those that run and those that are still kept."""
        self._forget()
        return [task for task in self._tasks.values() if task.owner == owner]

    def find(self, owner: str, name: str) -> Task:
        """Return ``owner``'s task of that id. Raises `NotFound`, for another key's task too."""
        self._forget()
        task = self._tasks.get(name)
        if task is None or task.owner != owner:
            raise NotFound("There is no such task here; finished ones are kept for an hour.")
        return task

    async def cancel(self, owner: str, name: str) -> None:
        """End it as cancelled; nothing when it has ended already."""
        task = self.find(owner, name)
        await self._stop(task, "cancelled")

    def owners(self) -> set[str]:
        """Of those that run."""
        return {task.owner for task in self._tasks.values() if task.ended is None}

    async def end_all(self, owner: str) -> None:
        """End all of a key that has ended."""
        told = {"type": Unauthenticated.type, "detail": "Its API key was revoked or has expired."}
        mine = [task for task in self.all(owner) if task.ended is None]
        await asyncio.gather(*(self._stop(task, "failed", error=told) for task in mine))

    async def close(self) -> None:
        """End all, as failed: their room stops."""
        stopped = {"type": "unavailable", "detail": "The room that ran this task stopped."}
        tasks = [task for task in self._tasks.values() if task.ended is None]
        await asyncio.gather(*(self._stop(task, "failed", error=stopped) for task in tasks))

    async def _stop(self, task: Task, state: State, **facts: Any) -> None:
        """Its session is closed before its end is told."""
        running = self._running.get(task.id)
        if running is not None:
            running.cancel()
            await asyncio.wait([running], timeout=STOP_S)
        task.end(state, **facts)

    def _forget(self) -> None:
        """Drop what ended long ago; of too many the oldest of the key that has the most."""
        now = time.monotonic()
        ended = [task for task in self._tasks.values() if task.ended is not None]
        old = [task for task in ended if task.ended and now - task.ended > KEPT_S]
        kept = sorted(set(ended) - set(old), key=lambda task: task.ended or now)
        while len(kept) > KEPT_TASKS:
            most = Counter(task.owner for task in kept).most_common(1)[0][0]
            old.append(next(task for task in kept if task.owner == most))
            kept.remove(old[-1])
        for task in old:
            del self._tasks[task.id]

    @property
    def running(self) -> int:
        """How many tasks are at work now, of all keys together."""
        return len(self._running)
