"""The agent of a replica: tasks in sessions of their owners, and schemas filled from pages."""

import asyncio
import contextlib
from typing import Any

import structlog
from pydantic import SecretStr

from autobot.errors import AutoBotError
from deployments.browser.affinity.session_ids import short
from deployments.browser.agent.extract import fill
from deployments.browser.agent.model import Models
from deployments.browser.agent.run import AgentRun
from deployments.browser.agent.schemas import NewTask
from deployments.browser.agent.service import Task, Tasks
from deployments.browser.agent.steps import Schema
from deployments.browser.agent.tools import BrowserTools
from deployments.browser.egress.policy import Domains
from deployments.browser.pages.schemas import Extension
from deployments.browser.sessions.service import Sessions

log = structlog.get_logger()

KEPT_IDLE_S = 300.0
CLOSE_S = 15.0
CHUNK_TOKENS = 1200
MOST_CHUNKS = 4


class Agent:
    """Tasks over ``sessions``, thought by ``models``."""

    def __init__(self, sessions: Sessions, models: Models, tasks: Tasks | None = None) -> None:
        self.sessions = sessions
        self.tasks = tasks or Tasks()
        self._models = models

    async def start(self, wanted: NewTask, owner: str, key: SecretStr, domains: Domains) -> Task:
        """Open a session and begin. Raises `Busy` when there is no place for either."""
        self.tasks.enter(owner)
        try:
            record = await self.sessions.open(owner, wanted.session(), domains)
        except BaseException:
            self.tasks.leave(owner)
            raise
        task = self.tasks.add(wanted, owner, key, record)
        self.tasks.run(task, self._pursue(task))
        return task

    async def _pursue(self, task: Task) -> None:
        model = self._models(task.wanted.model, task.key)
        hands = BrowserTools(self.sessions, task.record)
        task.tell("start", session=task.record.id, goal=task.wanted.goal)
        try:
            ending = await AgentRun(task, hands, model).ending()
        except Exception as error:  # a bug here must end this task and no other
            log.error("browser.task_crashed", task=short(task.id), exc_info=error)
            fault = AutoBotError()
            ending = {"state": "failed", "error": {"type": fault.type, "detail": fault.detail}}
        finally:
            await model.close()
            await self._leave(task)
        log.info("browser.task_ended", task=short(task.id), state=ending["state"])
        task.end(**ending)

    async def _leave(self, task: Task) -> None:
        record = task.record
        with contextlib.suppress(AutoBotError, TimeoutError):
            if task.wanted.keep_session:
                self.sessions.find(record.owner, record.id).extend(Extension(idle_s=KEPT_IDLE_S))
                return
            async with asyncio.timeout(CLOSE_S):
                await self.sessions.end(record.owner, record.id, save=False)

    async def close(self) -> None:
        """End every task: the replica stops."""
        await self.tasks.close()

    async def extract(
        self, text: str, schema: Schema, wish: str, name: str, key: SecretStr
    ) -> tuple[dict[str, Any], int]:
        """Fill ``schema`` from a page's ``text``; return the object and the tokens it cost.

        A long text is read in at most `MOST_CHUNKS` pieces; the object found so far goes along.
        Raises `ModelFailed`, or what the model's API answered.
        """
        model = self._models(name, key)
        found: dict[str, Any] | None = None
        spent = 0
        try:
            for piece in fill.parts(text, CHUNK_TOKENS)[:MOST_CHUNKS]:
                known = "" if found is None else f"Known from before: {fill.spoken(found)}\n\n"
                answered = await fill.fill(model, schema, wish, known + piece)
                found, spent = answered.value, spent + answered.tokens
        finally:
            await model.close()
        return found or {}, spent
