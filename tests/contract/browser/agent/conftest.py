"""The room with the agent in it, real Chromium, and a scripted model behind a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from autobot.keys import KeyRecord, NewKey, make_key
from autobot.web.app import create_app
from deployments.browser.agent.agent import Agent
from deployments.browser.agent.service import Task, Tasks
from deployments.browser.chat_model.driver import PlatformModel
from tests.contract.browser.agent.scripted import Scripted
from tests.contract.browser.agent.site import SITE
from tests.contract.browser.callers import Caller, ring
from tests.contract.browser.clients import Served
from tests.contract.browser.conftest import real_browser, room_of
from tests.contract.browser.playground import serve_app

KEY, RECORD = make_key(NewKey(name="agent", scopes=("browser", "llm")))
OTHER_KEY, OTHER = make_key(NewKey(name="other", scopes=("browser", "llm")))
NO_LLM_KEY, NO_LLM = make_key(NewKey(name="no-llm", scopes=("browser",)))
PRICE: dict[str, Any] = {
    "type": "object",
    "properties": {"price": {"type": "number"}},
    "required": ["price"],
    "additionalProperties": False,
}
ENDED = ("done", "limit", "failed", "cancelled")


class Person(Caller):
    """A caller who gives the agent tasks."""

    def __init__(self, http: httpx.AsyncClient, served: Served, key: str, script: Scripted) -> None:
        super().__init__(http, served.site, key)
        self.served, self.script = served, script

    async def give(self, goal: str, start: str = "/", **body: Any) -> dict[str, Any]:
        """Start a task; the answer is as it began."""
        answer = await self.post("/tasks", goal=goal, start_url=self.home + start, **body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def see(self, task: dict[str, Any]) -> dict[str, Any]:
        return (await self.ask("GET", f"/tasks/{task['id']}")).json()

    async def until(
        self, task: dict[str, Any], true: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """The task as soon as it is ``true`` of it."""
        async with asyncio.timeout(60):
            while True:
                seen = await self.see(task)
                if true(seen):
                    return seen
                await asyncio.sleep(0.1)

    async def end_of(self, task: dict[str, Any]) -> dict[str, Any]:
        return await self.until(task, lambda seen: seen["state"] in ENDED)

    def running(self, task: dict[str, Any]) -> Task:
        """What the room itself has of the task."""
        assert self.served.room.agent
        return self.served.room.agent.tasks._tasks[task["id"]]

    async def have(self, goal: str, start: str = "/", **body: Any) -> dict[str, Any]:
        """Give a task and wait for its end."""
        asked = {"goal": goal, "start_url": self.home + start, **body}
        answer = await self.ask("POST", "/tasks?wait=90", json=asked, timeout=120)
        assert answer.status_code == 201, answer.text
        assert answer.json()["state"] in ENDED, answer.text
        return answer.json()


@contextlib.asynccontextmanager
async def room_with(
    home: Path, model_url: str, records: Sequence[KeyRecord]
) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    """The room on a port, its site, and the agent whose models are at ``model_url``."""
    async with serve_app(SITE) as site:
        allow = f"127.0.0.1:{site},localhost:{site}"
        room = room_of(real_browser(home, allow), most=6)
        models = partial(PlatformModel, model_url)
        room.agent = Agent(room.sessions, models, Tasks(most=3, most_of_a_key=2))
        app = create_app("browser", [room.router()], await ring(*records))
        async with (
            serve_app(app) as port,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False
            ) as http,
        ):
            yield Served(room, port, f"http://127.0.0.1:{site}"), http


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(
    tmp_path_factory: pytest.TempPathFactory, browser_user: None
) -> AsyncIterator[dict[str, Person]]:
    script = Scripted()
    home = tmp_path_factory.mktemp("home")
    async with (
        serve_app(script.app()) as model,
        room_with(home, f"http://127.0.0.1:{model}", (RECORD, OTHER, NO_LLM)) as (served, http),
    ):
        keys = {"ann": KEY, "bo": OTHER_KEY, "no-llm": NO_LLM_KEY}
        yield {name: Person(http, served, key, script) for name, key in keys.items()}


@pytest.fixture
def ann(people: dict[str, Person]) -> Person:
    script = people["ann"].script
    script.others.clear()
    script.outputs.clear()
    script.answers.clear()
    script.checked.clear()
    script.asked.clear()
    script.slow_s, script.status = 0.0, 200
    return people["ann"]
