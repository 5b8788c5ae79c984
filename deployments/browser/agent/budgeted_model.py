"""The model of a task, asked within the task's limits and only while nobody drives its session."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from deployments.browser.agent.schemas import Limit
from deployments.browser.agent.service import Task
from deployments.browser.agent.tools import BrowserTools
from deployments.browser.chat_model.model import Answered, Model, Question
from deployments.browser.errors import WheelTaken

POLL_S = 0.1


class Stopped(Exception):
    """A limit of the task."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit: Limit = limit


class BudgetedModel:
    """Asks ``model`` for ``task``, whose session is in ``tools``. Serves the `Model` contract."""

    def __init__(self, task: Task, tools: BrowserTools, model: Model) -> None:
        self._task, self._tools, self._model = task, tools, model
        self._limits = task.wanted.limits
        self._clock = asyncio.timeout(None)

    async def once(self, question: Question) -> Answered:
        """Ask while watching the session.

        Raises `WheelTaken` when a person drives, `Stopped` when no tokens are left, `SessionEnded`
        when there is nothing to drive, else as `Model`.
        """
        self._attend()
        if self._task.tokens >= self._limits.tokens:
            raise Stopped("tokens")
        self._task.requests += 1
        answering = asyncio.ensure_future(self._model.answer(question))
        try:
            while not answering.done():
                await asyncio.wait([answering], timeout=POLL_S)
                if not answering.done():
                    self._attend()
            answered = answering.result()
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
        self._task.tokens += answered.tokens
        self._attend()  # what was thought while a person took the wheel is thrown away
        return answered

    async def answer(self, question: Question) -> Answered:
        """Ask, and again when a person took the wheel."""
        while True:
            try:
                return await self.once(question)
            except WheelTaken:
                await self.hands_off()

    async def close(self) -> None:
        await self._model.close()

    def _attend(self) -> None:
        self._tools.alive()
        if self._tools.record.wheel.held():
            raise WheelTaken("A person has taken the wheel.")

    async def hands_off(self) -> bool:
        """Wait while a person drives; say whether one did."""
        wheel = self._tools.record.wheel
        if not wheel.held():
            return False
        self._task.tell("paused", reason="a person has the wheel")
        with self.off_the_clock():
            while wheel.held():
                self._tools.alive()
                await asyncio.sleep(POLL_S)
        self._task.tell("resumed")
        return True

    @contextlib.asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Raise `Stopped` when what is done within takes longer than the task may."""
        try:
            async with asyncio.timeout(self._limits.seconds) as self._clock:
                yield
        except TimeoutError as error:
            raise Stopped("seconds") from error

    @contextlib.contextmanager
    def off_the_clock(self) -> Iterator[None]:
        """What a person takes is not the task's time."""
        loop = asyncio.get_running_loop()
        left = (self._clock.when() or loop.time()) - loop.time()
        self._clock.reschedule(None)
        try:
            yield
        finally:
            self._clock.reschedule(loop.time() + left)
