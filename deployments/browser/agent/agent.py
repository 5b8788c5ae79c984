"""The agent of a replica: tasks in sessions of their owners."""

import asyncio
import contextlib

import structlog
from pydantic import SecretStr

from autobot.errors import AutoBotError
from deployments.browser.affinity.session_ids import short
from deployments.browser.agent.run import AgentRun
from deployments.browser.agent.schemas import NewTask
from deployments.browser.agent.service import Task, Tasks
from deployments.browser.agent.tools import BrowserTools
from deployments.browser.chat_model.model import Models
from deployments.browser.egress.policy import Domains
from deployments.browser.pages.schemas import Extension
from deployments.browser.sessions.service import Sessions

log = structlog.get_logger()

KEPT_IDLE_S = 300.0
CLOSE_S = 15.0


class Agent:
    """Tasks over ``sessions``, thought by ``models``."""

    def __init__(self, sessions: Sessions, models: Models, tasks: Tasks | None = None) -> None:
        self.sessions = sessions
        self.tasks = tasks or Tasks()
        self.models = models

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
        model = self.models(task.wanted.model, task.key)
        tools = BrowserTools(self.sessions, task.record)
        task.tell("start", session=task.record.id, goal=task.wanted.goal)
        try:
            ending = await AgentRun(task, tools, model).ending()
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
