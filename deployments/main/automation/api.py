"""`/api/automations` and `/api/runs`: by keys of scope `automation`."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from autobot.automation.runs.journal import Answered, decode, decoded, encode
from autobot.automation.runs.state import RunState, fold
from autobot.contracts.automations import Kept
from autobot.contracts.runs import ENDED, Entry, Run, State
from autobot.errors import Conflict, Invalid, NotFound
from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import EventStream
from deployments.main.automation.schemas import (
    AutomationDetail,
    AutomationInfo,
    Decision,
    Enable,
    NewRunRequest,
    Publish,
    RunDetail,
    RunInfo,
    StartedRun,
    automation_detail,
    automation_info,
    instant,
    run_detail,
    run_info,
)
from deployments.main.automation.service import AutomationService
from deployments.main.automation.starts import PAGE, Starts, Trigger, run_name

Caller = Annotated[KeyRecord, Depends(require("automation"))]
Limit = Annotated[int, Query(ge=1, le=1000)]
LONGEST_WAIT_S = 60
LOOK_EVERY_S = 0.25
KEEP_ALIVE_S = 15.0
DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


def automation_routes(service: AutomationService, starts: Starts) -> APIRouter:
    """The routes of automations."""
    router = APIRouter(prefix="/api/automations", tags=["automations"])

    @router.get("")
    async def list_automations(caller: Caller) -> list[AutomationInfo]:
        """List every automation, by name."""
        every = await service.automations.all()
        return [automation_info(kept, await starts.published(kept)) for kept in every]

    @router.post("", status_code=201, openapi_extra=DOCUMENT)
    async def create_automation(request: Request, caller: Caller) -> AutomationDetail:
        """Keep a new draft, in YAML or JSON, under its own name; it does not run before it is
        published. 422 lists every mistake with its line and column; 409 when the name is taken."""
        return await _detail(starts, await service.save(await _text(request), caller, None))

    @router.get("/{name}")
    async def get_automation(name: str, caller: Caller) -> AutomationDetail:
        """Return one with its draft."""
        return await _detail(starts, await service.automations.get(name))

    @router.put("/{name}", openapi_extra=DOCUMENT)
    async def update_automation(
        name: str,
        request: Request,
        caller: Caller,
        revision: Annotated[int, Query(description="The draft that was changed.")],
    ) -> AutomationDetail:
        """Replace the draft of that revision; what is published goes on as it is. 409 when there is
        a newer draft."""
        text = await _text(request)
        if (await service.check(text)).automation.name != name:
            raise Invalid("The document has another name: that would be another automation.")
        return await _detail(starts, await service.save(text, caller, revision))

    @router.delete("/{name}", status_code=204)
    async def delete_automation(name: str, caller: Caller) -> None:
        """Remove it and cancel its runs; their journals stay for their time."""
        await service.delete(name)

    @router.post("/{name}/publish")
    async def publish_automation(name: str, body: Publish, caller: Caller) -> AutomationDetail:
        """Let the draft run from now on, as an API key of its own with the scopes that its tools
        need; 403 when the caller's key lacks one. Runs under way keep to their version."""
        return await _detail(starts, await service.publish(name, body.revision, caller))

    @router.post("/{name}/enable")
    async def enable_automation(name: str, body: Enable, caller: Caller) -> AutomationDetail:
        """Let it start runs, or not: then those that have not begun are cancelled."""
        return await _detail(starts, await service.enable(name, body.enabled))

    @router.post("/{name}/runs", status_code=202)
    async def start_run(
        name: str,
        body: NewRunRequest,
        caller: Caller,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
        wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds.")] = 0,
    ) -> StartedRun:
        """Start a run; with `wait` answer once it has ended, or after so many seconds. Under the
        same `Idempotency-Key` it is the same run."""
        wanted = run_name(name, caller.id, idempotency_key)
        run = await starts.start(name, wanted, body.inputs, Trigger("manual", caller.id))
        return StartedRun(id=run, state=await _state_after(starts, run, wait))

    @router.get("/{name}/runs")
    async def list_runs_of(
        name: str, caller: Caller, state: State | None = None, limit: Limit = 100
    ) -> list[RunInfo]:
        """List its runs, the newest first."""
        return [run_info(run) for run in await starts.runs.list(name, state, limit=limit)]

    return router


def run_routes(starts: Starts) -> APIRouter:
    """The routes of runs."""
    router = APIRouter(prefix="/api/runs", tags=["runs"])

    @router.get("")
    async def list_runs(
        caller: Caller,
        automation: str | None = None,
        state: State | None = None,
        before: Annotated[int | None, Query(description="Milliseconds of Unix time.")] = None,
        limit: Limit = 100,
    ) -> list[RunInfo]:
        """List runs, the newest first."""
        cursor = None if before is None else (before, "")
        runs = await starts.runs.list(automation, state, cursor, limit)
        return [run_info(run) for run in runs]

    @router.get("/{run}", response_model=RunDetail)
    async def get_run(run: str, caller: Caller) -> Response:
        """Return a run with what has become of its steps."""
        shown = await _run(starts, run)
        detail = run_detail(shown, fold(decoded(await starts.journal(run))))
        # In ASCII: what a tool gave may have half of a letter, which UTF-8 has no bytes for.
        return Response(json.dumps(detail.model_dump()), media_type="application/json")

    @router.get("/{run}/events", response_class=EventStream)
    async def run_events(
        run: str,
        caller: Caller,
        follow: bool = True,
        last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0,
    ) -> Response:
        """Stream the journal as server-sent events, whose ids are its numbers: with `Last-Event-ID`
        it goes on there. It ends with the run, or with `follow=false` where the journal ends."""
        await _run(starts, run)
        events = _events(starts, run, last_event_id, follow)
        return EventStream(events, events, {})

    @router.post("/{run}/retry", status_code=202)
    async def retry_run(
        run: str,
        caller: Caller,
        step: Annotated[str | None, Query(alias="from", description="The step.")] = None,
    ) -> StartedRun:
        """Go on from a step of a run that ended, as a new run of the same version: what does not
        depend on the step is taken over. Without `from` it begins again."""
        again = await starts.retry(run, step, caller)
        return StartedRun(id=again, state="queued")

    @router.post("/{run}/{what}", status_code=202)
    async def ask_run(run: str, what: str, caller: Caller) -> RunInfo:
        """Cancel, pause or resume a run."""
        if what not in ("cancel", "pause", "resume"):
            raise NotFound(f"A run knows no '{what[:40]}'.")
        await starts.ask(run, what, caller)
        return run_info(await _run(starts, run))

    @router.post("/{run}/approvals/{step}", status_code=202)
    async def decide(run: str, step: str, body: Decision, caller: Caller) -> RunInfo:
        """Answer what a step waits for. 409 when it waits for nothing of that kind."""
        state = fold(decoded(await starts.journal(run)))
        entry, asked = _answer(state, step, body, caller.id)
        outcome = await starts.runs.ask(run, asked, encode(entry), "answer")
        if outcome in ("ended", "duplicate"):
            raise Conflict("That was answered already.")
        return run_info(await _run(starts, run))

    return router


async def _detail(starts: Starts, kept: Kept) -> AutomationDetail:
    return automation_detail(kept, await starts.published(kept))


async def _text(request: Request) -> str:
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError:
        raise Invalid("The document is not UTF-8.") from None


async def _run(starts: Starts, run: str) -> Run:
    shown = await starts.runs.get(run)
    if shown is None:
        raise NotFound(f"There is no run '{run[:100]}'.")
    return shown


async def _state_after(starts: Starts, run: str, seconds: int) -> State:
    ends = asyncio.get_running_loop().time() + seconds
    while True:
        state = (await _run(starts, run)).state
        if state in ENDED or asyncio.get_running_loop().time() >= ends:
            return state
        await asyncio.sleep(LOOK_EVERY_S)


async def _events(
    starts: Starts, run: str, after: int, follow: bool
) -> AsyncGenerator[bytes, None]:
    """A comment now and then keeps the connection of a run that waits."""
    silent_s = 0.0
    while True:
        page = await starts.runs.read(run, after, PAGE)
        for entry in page:
            yield _event(entry)
        after += len(page)
        if len(page) == PAGE:
            continue
        shown = await starts.runs.get(run)
        over = shown is None or (shown.state in ENDED and shown.seq <= after)
        if over or not follow:
            return
        silent_s = 0.0 if page else silent_s + LOOK_EVERY_S
        if silent_s >= KEEP_ALIVE_S:
            silent_s = 0.0
            yield b": the run goes on\n\n"
        if not page:
            await asyncio.sleep(LOOK_EVERY_S)


def _event(entry: Entry) -> bytes:
    body = json.loads(entry.body)
    kind = decode(entry.body).kind
    data = json.dumps({**body, "at": instant(entry.at)})
    return f"id: {entry.seq}\nevent: {kind}\ndata: {data}\n\n".encode()


def _answer(state: RunState, step: str, body: Decision, by: str) -> tuple[Answered, str]:
    """The entry, and the name under which it is asked: once for each time that the step waits."""
    place = state.places.get((step, body.iteration))
    if place is None or place.waiting is None or place.status != "waiting":
        raise Conflict(f"The step '{step[:64]}' does not wait.")
    if place.waiting.on == "approval" and body.approved is not None:
        answer = "approve" if body.approved else "reject"
    elif place.waiting.on == "unknown" and body.outcome is not None:
        answer = body.outcome
    elif place.waiting.on in ("time", "run"):
        raise Conflict(f"The step '{step[:64]}' waits for no person.")
    else:
        wanted = "approved" if place.waiting.on == "approval" else "outcome"
        raise Conflict(f"The step '{step[:64]}' waits for `{wanted}`.")
    number = "" if body.iteration is None else body.iteration
    return Answered(step, body.iteration, answer, by), f"{step}-{number}-{place.attempts}"
