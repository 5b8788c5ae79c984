"""`/api/browser/tasks`: goals given to the agent, watched, answered and cancelled."""

import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import SecretStr

from autobot.web.auth import presented_key, require
from autobot.web.disconnect import EventStream, unless_disconnected
from deployments.browser.agent.agent import Agent
from deployments.browser.agent.schemas import NewTask, PersonsAnswer, TaskList, TaskView
from deployments.browser.agent.service import Event, Task
from deployments.browser.pages.api import Owner, domains_of_key, responses

BEAT_S = 15.0
"""A quiet stream says something so often: proxies close what says nothing."""
SSE = {"text/event-stream": {"schema": {"type": "string"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of these routes, in the shape of the room's others."""
    own = {
        403: "The key lacks scope `browser` or `llm`",
        404: "No such task, or it is another key's",
        409: "The task asks nothing",
        429: "Too many tasks or sessions",
    }
    known = responses()
    return {
        status: known.get(status, {"content": {"application/problem+json": {}}})
        | ({"description": own[status]} if status in own else {})
        for status in (401, 403, *statuses)
    }


def task_routes(agent: Agent) -> APIRouter:
    """Return the routes of ``agent``'s tasks; each needs scope `llm` beside `browser`."""
    router = APIRouter(prefix="/tasks", dependencies=[Depends(require("llm"))])
    tasks = agent.tasks

    @router.post(
        "",
        status_code=201,
        response_model=TaskView,
        responses={201: {"content": SSE}, **problems(422, 429, 503)},
    )
    async def start_task(
        request: Request,
        response: Response,
        key: Owner,
        body: NewTask,
        wait: Annotated[float, Query(ge=0, le=600, description="Seconds to wait.")] = 0,
    ) -> Any:
        """Have the agent pursue a goal in a session of its own. The answer is the task as it is
        at once, or after `wait` at most; with `stream` it is the task's events.
        """
        secret = SecretStr(presented_key(request) or "")
        starting = agent.start(body, key.id, secret, domains_of_key(key))
        task = await unless_disconnected(request, starting)
        where = {"location": f"/api/browser/tasks/{task.id}", "x-autobot-task": task.id}
        if body.stream:
            return _stream(task, 0, 201, where)
        response.headers.update(where)
        if wait:
            await unless_disconnected(request, task.until_ended(wait))
        return task.describe()

    @router.get("", response_model=TaskList, responses=problems())
    async def list_tasks(key: Owner) -> Any:
        """Return this key's tasks: those that run, and for an hour those that have ended."""
        return {"tasks": [task.summary() for task in tasks.all(key.id)]}

    @router.get("/{task}", response_model=TaskView, responses=problems(404))
    async def inspect_task(key: Owner, task: str) -> Any:
        """Return a task: its state, its steps, and what it has found."""
        return tasks.find(key.id, task).describe()

    @router.get(
        "/{task}/events",
        response_class=Response,
        responses={200: {"content": SSE}, **problems(404, 422)},
    )
    async def task_events(
        key: Owner,
        task: str,
        last_event_id: Annotated[int, Header(ge=0, description="Go on after this one.")] = 0,
    ) -> Response:
        """Stream what happens as server-sent events: `start`, `step`, `paused`, `resumed`,
        `question`, `answer`, and at last `end`. The data of a step has its `thumbnail`, a JPEG in
        base64; a stream that was cut off goes on after `Last-Event-ID`.
        """
        return _stream(tasks.find(key.id, task), last_event_id, 200, {})

    @router.post("/{task}/answer", status_code=204, responses=problems(404, 409, 422))
    async def answer_task(key: Owner, task: str, body: PersonsAnswer) -> None:
        """Answer what the task has asked."""
        tasks.find(key.id, task).answer(body.answer)

    @router.delete("/{task}", status_code=204, responses=problems(404))
    async def cancel_task(key: Owner, task: str) -> None:
        """Cancel a task and close its session; one that has ended stays as it is."""
        await tasks.cancel(key.id, task)

    return router


def _stream(task: Task, after: int, status: int, headers: dict[str, str]) -> Response:
    source = task.listen(after, BEAT_S)
    return EventStream(_written(source), source, headers, status)


async def _written(events: AsyncGenerator[Event | None, None]) -> AsyncGenerator[bytes, None]:
    async for event in events:
        if event is None:
            yield b": quiet\n\n"
            continue
        data = json.dumps(event.data, ensure_ascii=False)
        yield f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n".encode()
