"""One task from its first page to its end: look, decide, act, again.

The model never acts by itself: each step is one decision under a schema made for the page it sees,
done like everybody else's actions in the session. A decision made while a person took the wheel is
thrown away.
"""

import contextlib
from typing import Any

import structlog
from pydantic import ValidationError

from autobot.errors import (
    AutoBotError,
    BadRequest,
    BlockedAddress,
    ContextLengthExceeded,
    Invalid,
)
from deployments.browser.agent import check
from deployments.browser.agent.budgeted_model import BudgetedModel, Stopped
from deployments.browser.agent.consent import REFUSAL, asked_for, uncalled_for
from deployments.browser.agent.observation.view import View
from deployments.browser.agent.prompt import RULES, Memory, Observation, Past, look, prompt, short
from deployments.browser.agent.repeats import Repeats
from deployments.browser.agent.service import Task
from deployments.browser.agent.steps import Decision, Do, Next, schema_for
from deployments.browser.agent.tools import BrowserTools
from deployments.browser.chat_model.model import Answered, Model, ModelFailed, Question
from deployments.browser.errors import SessionEnded, WheelTaken
from deployments.browser.extract import fill

log = structlog.get_logger()

PAGE_TOKENS = 1000
LEAST_PAGE_TOKENS = 200
OUTPUT_TOKENS = 1200
MOST_QUESTIONS = 5
MOST_FAILURES = 3
"""Answers of no use in a row, and navigations outside the task's domains in all."""
BOLD = 0.7
"""Temperature for a model that repeats itself: the same question would get the same answer."""


class AgentRun:
    """Pursues ``task`` with ``model`` and ``tools``."""

    def __init__(self, task: Task, tools: BrowserTools, model: Model) -> None:
        self._task, self._tools = task, tools
        self._model = BudgetedModel(task, tools, model)
        self._limits = task.wanted.limits
        self._memory = Memory(task.wanted.goal)
        self._asked = task.wanted.goal
        self._repeats = Repeats()
        self._budget = PAGE_TOKENS
        self._before: View | None = None
        self._start = 0
        self._read = ""
        self._checked: set[int] = set()
        self._doubted: set[str] = set()
        self._warning = ""
        self._questions = 0
        self._useless = 0
        self._outside = 0

    async def ending(self) -> dict[str, Any]:
        """Do all of it; return the state it ends in and what goes with it."""
        try:
            async with self._model.in_time():
                return await self._all()
        except Stopped as stopped:
            return {"state": "limit", "limit": stopped.limit}
        except AutoBotError as error:
            return {"state": "failed", "error": {"type": error.type, "detail": error.detail}}

    async def _all(self) -> dict[str, Any]:
        try:
            await self._tools.open(self._task.wanted.start_url)
        except BlockedAddress as error:
            if _is_outside(error):
                raise Stopped("domains") from error
            raise
        while True:
            if len(self._task.steps) >= self._limits.steps:
                raise Stopped("steps")
            try:
                if await self._model.hands_off():
                    self._look_anew()
                ending = await self._step()
            except WheelTaken:
                self._look_anew()
                continue
            if ending is not None:
                return ending

    async def _step(self) -> dict[str, Any] | None:
        view = await self._tools.look()
        self._task.visited(view.url)
        if self._before is None or view.url != self._before.url:
            self._start, self._read = 0, ""
        if (answer := await self._answered(view)) is not None:
            ending = Decision(next=Next(reached=True, answer=answer))
            return await self._done(ending, view, ending.next.step.describe())
        sight, decision = await self._decide(view)
        if decision is None:
            return None
        step = decision.next.step
        did = step.describe(view.elements.get(step.ref))
        if step.kind == "done":
            return await self._done(decision, view, did)
        self._memory.note(decision.next.note)
        situation = (view.url, hash(view.text), self._start, self._read)
        if self._repeats.stuck(situation, did):
            outcome = "not done again: it was done three times here without effect"
        else:
            outcome = await self._outcome(step, view, sight)
        self._warning = self._repeats.warning(situation, did) or (
            self._warning if outcome.startswith("not done again") else ""
        )
        await self._record(decision, view, did, outcome)
        self._before = view
        if self._outside >= MOST_FAILURES:
            raise Stopped("domains")
        return None

    def _look_anew(self) -> None:
        self._before, self._start, self._read = None, 0, ""
        self._warning = "A person has driven the browser meanwhile: look at the page anew."

    async def _answered(self, view: View) -> str | None:
        """The answer, when what is in sight gives it; each sight is asked about once."""
        start, end = look(view, self._start, self._budget, self._read)
        page = check.page_text(Observation(view, start, end, read=self._read))
        sight = hash((page, *self._memory.notes))
        if sight in self._checked:
            return None
        said = ""
        # What fails here fails in the decision that follows, which says so and asks with less.
        with contextlib.suppress(ModelFailed, ContextLengthExceeded, BadRequest):
            answered = await self._model.once(check.question(self._memory, page))
            said = str(answered.value.get("answer", ""))
        answer = check.answer_in(said, page, self._memory)
        if answer is None:  # one that counts is asked for again when its end was not reached
            self._checked.add(sight)
        return answer

    async def _record(self, decision: Decision, view: View, did: str, outcome: str) -> None:
        self._memory.past.append(Past(did, outcome))
        try:
            picture = await self._tools.picture()
        except SessionEnded:
            picture = None  # the next look says so
        self._task.step(
            picture,
            thought=decision.seen,
            action=decision.next.step.model_dump(exclude_defaults=True),
            did=did,
            outcome=outcome,
            url=view.url,
        )

    async def _decide(self, view: View) -> tuple[Observation, Decision | None]:
        """Ask the model; None when it said nothing of use."""
        while True:
            start, end = look(view, self._start, self._budget, self._read)
            sight = Observation(view, start, end, self._before, self._read, self._warning)
            left = self._limits.steps - len(self._task.steps)
            more = ["up"] * (start > 0) + ["down"] * (end < len(view.lines))
            schema = schema_for(
                view.usable(start, end), more=more, asking=self._questions < MOST_QUESTIONS
            )
            temperature = BOLD if self._warning or self._useless else 0.0
            text = prompt(self._memory, sight, left)
            try:
                question = Question(RULES, text, schema, temperature=temperature)
                decision = self._understood(await self._model.once(question), view)
            except ContextLengthExceeded:
                if self._budget <= LEAST_PAGE_TOKENS:
                    raise
                self._budget //= 2
                self._read = self._read[: len(self._read) // 2]
                continue
            except ModelFailed as error:
                self._useless += 1
                if self._useless >= MOST_FAILURES:
                    raise
                self._warning = f"Your last answer was no use: {error.detail[:200]}"
                return sight, None
            self._useless = 0
            return sight, decision

    def _understood(self, answered: Answered, view: View) -> Decision:
        """Raises `ModelFailed` for what is no decision, or about what is not on the page."""
        try:
            decision = Decision.model_validate(answered.value)
        except ValidationError as error:
            raise ModelFailed(f"It is no step: {error.errors()[0]['msg']}") from error
        step = decision.next.step
        if step.kind in ("click", "type", "select") and step.ref not in view.elements:
            raise ModelFailed(f"There is no {step.ref or 'such element'} on this page.")
        if step.kind == "done":
            self._doubt(step.text, view)
        return decision

    def _doubt(self, answer: str, view: View) -> None:
        """Raise `ModelFailed` for an answer that the page does not give, once on each page.

        Said there again it is taken: it may have been counted, or there is nothing to tell.
        """
        if view.url in self._doubted or self._useless == MOST_FAILURES - 1:
            return
        page = check.page_text(Observation(view, 0, len(view.lines), read=self._read))
        if check.doubtful(answer, page, self._memory):
            self._doubted.add(view.url)
            raise ModelFailed(f"The page does not say '{short(answer, 100)}': look again.")

    async def _outcome(self, step: Do, view: View, sight: Observation) -> str:
        """Do it and say what came of it, in the words the model is told."""
        if step.kind == "ask":
            return await self._ask(step.text)
        if step.kind == "read":
            self._read, left = fill.cut(await self._tools.read(), self._budget // 2)
            return "read" + (f", {left} more letters left out" if left else "")
        pressed = view.elements.get(step.ref) if step.kind == "click" else None
        button = pressed.name if pressed and pressed.role == "button" else ""
        if word := uncalled_for(button, self._asked):
            return REFUSAL.format(word=word)
        try:
            await self._tools.do(step, view.url)
        except (SessionEnded, WheelTaken):
            raise
        except BlockedAddress as error:
            return await self._refused(error)
        except ValidationError as error:
            return f"failed: {error.errors()[0]['msg']}"
        except AutoBotError as error:
            return f"failed: {error.detail[:200]}"
        if step.kind == "scroll":
            rows = max(1, sight.end - sight.start)
            self._start = sight.end if step.text == "down" else max(0, sight.start - rows)
        return "done"

    async def _refused(self, error: BlockedAddress) -> str:
        """Tell the model, and leave the error page that Chromium may show instead."""
        self._outside += _is_outside(error)
        view = await self._tools.look()
        if not view.url.startswith("http"):
            with contextlib.suppress(AutoBotError):
                await self._tools.do(Do(kind="back"), "")
        return f"refused: {error.detail[:200]}"

    async def _ask(self, question: str) -> str:
        self._questions += 1
        with self._model.off_the_clock():
            answer = await self._task.ask(question, self._limits.answer_s)
        if answer is None:
            self._questions = MOST_QUESTIONS
            return "the person did not answer: go on without"
        self._asked += f"\n{asked_for(question, answer)}"
        self._memory.note(f"Asked: {question[:100]} The person said: {answer[:400]}")
        return f"the person said: {answer}"

    async def _done(self, decision: Decision, view: View, did: str) -> dict[str, Any]:
        said = decision.next.step.text
        output = None
        if self._task.wanted.schema_ is not None:
            output = await self._output(said)
        await self._record(decision, view, did, "done")
        return {"state": "done", "result": said, "output": output}

    async def _output(self, said: str) -> dict[str, Any]:
        """Fill the caller's schema from what the task found. Raises `ModelFailed` after retries."""
        try:
            page = await self._tools.read()
        except Invalid:
            page = ""
        facts = "\n".join([f"Found: {said}", *self._memory.notes, "The last page:", page])
        text, _ = fill.cut(facts, OUTPUT_TOKENS)
        asking = fill.fill(self._model, self._task.wanted.schema_ or {}, self._memory.goal, text)
        return (await asking).value


def _is_outside(error: BlockedAddress) -> bool:
    """Whether the task's own list of domains refused it."""
    return "allow list of this session" in error.detail
