"""The twenty jobs with the default model of this machine: a rate that is reported, not demanded."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from autobot.contracts.embeddings import FakeEmbeddings
from autobot.contracts.responses import FakeResponses
from autobot.settings import Settings
from autobot.web.app import create_app
from deployments.llm.api import room_routes
from deployments.llm.room import ChatRoom
from tests.contract.browser.agent.conftest import ENDED, KEY, RECORD, Person, ring, room_with
from tests.contract.browser.agent.jobs import JOBS, Job
from tests.contract.browser.agent.scripted import Scripted
from tests.contract.browser.agent.site import RECEIVED
from tests.contract.browser.playground import serve_app

LIMITS = {"steps": 12, "seconds": 240}


@contextlib.asynccontextmanager
async def real_models(home: Path) -> AsyncIterator[str]:
    """The llm room's own application on a port, with whatever model is its default here."""
    chat = ChatRoom(Settings(home=home), FakeEmbeddings(), FakeResponses(()))
    if chat.library.default() is None:
        await chat.close()
        pytest.skip("no chat model is installed on this machine")
    app = create_app("llm", [room_routes(chat)], await ring(RECORD))
    async with serve_app(app) as port:
        yield f"http://127.0.0.1:{port}"
    await chat.close()


async def attempt(person: Person, job: Job) -> dict[str, Any]:
    """What became of one job, short enough to print."""
    RECEIVED.clear()
    asked = {"goal": job.goal, "start_url": person.home + job.start, "limits": LIMITS}
    answer = await person.ask("POST", "/tasks?wait=300", json=asked, timeout=330)
    task = answer.json()
    assert task["state"] in ENDED, task
    return {
        "job": job.name,
        "right": job.done(task, RECEIVED),
        "state": task["state"],
        "limit": task["limit"],
        "error": task["error"],
        "result": task["result"],
        "expected": job.expected,
        "received": [*RECEIVED],
        "usage": task["usage"],
        "did": [f"{step['did']} -> {step['outcome'][:80]}" for step in task["steps"]],
    }


@pytest.mark.drill
@pytest.mark.timeout(7200)
async def test_every_job_ends_in_a_legal_state_with_the_real_default_model(
    tmp_path: Path, browser_user: None
) -> None:
    async with (
        real_models(tmp_path / "llm") as url,
        room_with(tmp_path / "browser", url, [RECORD]) as (served, http),
    ):
        person = Person(http, served, KEY, Scripted())
        http.timeout = httpx.Timeout(330)
        report = []
        for job in JOBS:
            report.append(await attempt(person, job))
            (tmp_path / "agent.json").write_text(json.dumps(report, indent=1))
            print(json.dumps(report[-1]))
    right = sum(entry["right"] for entry in report)
    print(f"real model: {right} of {len(report)} jobs right; {tmp_path / 'agent.json'}")
    assert len(report) == len(JOBS)
