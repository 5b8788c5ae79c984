"""What a key has left running in room browser ends with the key."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from autobot.contracts.profiles import FakeProfiles
from deployments.browser.agent import agent
from deployments.browser.agent.schemas import NewTask
from deployments.browser.agent.service import Task
from deployments.browser.agent.tools import BrowserTools
from deployments.browser.chat_model.model import Answered, Question
from deployments.browser.chromium.isolation.memory import Meter
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Domains, Policy
from deployments.browser.errors import SessionEnded
from deployments.browser.fake import FakeBrowser
from deployments.browser.pages.schemas import NewSession
from deployments.browser.room import BrowserRoom
from deployments.browser.sessions.service import Sessions

WITHIN_S = 2.0


class Thinking:
    """A model that never comes to an answer."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def answer(self, question: Question) -> Answered:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        self.closed.set()


class Rig:
    def __init__(self) -> None:
        self.held = {"mine", "other"}
        self.model = Thinking()
        browser = FakeBrowser(Connector(Policy(frozenset())))
        self.sessions = Sessions(browser, "here", Meter(1 << 40, lambda: 0), 8)
        self.agent = agent.Agent(self.sessions, lambda name, key: self.model)
        profiles = FakeProfiles(())
        self.room = BrowserRoom(
            browser, self.sessions, profiles, None, self.agent, self.held.__contains__
        )


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    async with made.room.running(FastAPI()):
        yield made


async def test_its_sessions_end_and_those_of_others_go_on(rig: Rig) -> None:
    mine = await rig.sessions.open("mine", NewSession())
    other = await rig.sessions.open("other", NewSession())
    rig.held.remove("mine")
    async with asyncio.timeout(WITHIN_S):
        while rig.sessions.all("mine"):  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.02)
    with pytest.raises(SessionEnded, match="revoked"):
        rig.sessions.find("mine", mine.id)
    await asyncio.sleep(0.6)
    assert rig.sessions.find("other", other.id) is other


class Thinks:
    """Is at its first question, for ever."""

    def __init__(self, task: Task, hands: BrowserTools, model: Thinking) -> None:
        self._model = model

    async def ending(self) -> None:
        await self._model.answer(Question("", "", {}))


async def test_its_tasks_end_and_ask_no_model_any_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "AgentRun", Thinks)
    task = await rig.agent.start(
        NewTask(goal="think", start_url="http://page.test/"), "mine", SecretStr("key"), Domains()
    )
    await asyncio.sleep(0.1)
    assert task.ended is None
    rig.held.remove("mine")
    await asyncio.wait_for(task.until_ended(30), WITHIN_S)
    assert (task.state, task.error and task.error["type"]) == ("failed", "unauthenticated")
    assert rig.model.closed.is_set()
    assert not rig.sessions.all("mine")
    assert (rig.agent.tasks.running, task.key.get_secret_value()) == (0, "")
