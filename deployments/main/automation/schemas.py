"""What the routes of automations and runs answer."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from autobot.automation.document import Automation
from autobot.automation.reading import plain
from autobot.automation.runs.state import PlaceState, RunState
from autobot.automation.schedule import next_fires
from autobot.contracts.automations import Kept
from autobot.contracts.runs import Run, State
from deployments.main.automation.service import schedules

NEXT_FIRES = 5


class AutomationInfo(BaseModel):
    """``version`` is the published one, whose id is the hash of its content; ``published`` says
    whether that is the draft. Times are ISO 8601."""

    id: str
    description: str
    revision: int
    changed: str
    enabled: bool
    version: str | None
    published: bool
    reason: str | None = Field(description="Why the platform turned it off.")
    triggers: list[str]
    mode: str
    next: list[str] = Field(description="When its schedules start runs next.")


class AutomationDetail(AutomationInfo):
    draft: str = Field(description="As its author wrote it.")
    document: dict[str, Any] = Field(description="The draft as JSON.")


class Enable(BaseModel):
    enabled: bool


class Publish(BaseModel):
    revision: int | None = Field(None, description="The draft's; 409 when there is a newer one.")


class NewRunRequest(BaseModel):
    inputs: dict[str, Any] = Field(default_factory=dict, description="By name.")


class Decision(BaseModel):
    """A person's answer: to an approval ``approved``; where it is not known whether a step had its
    effect, ``outcome``."""

    approved: bool | None = None
    outcome: Literal["retry", "done", "fail"] | None = None
    iteration: int | None = Field(None, description="Which item of a loop, from 0.")


class StepInfo(BaseModel):
    """``status``: started, retrying, waiting, succeeded, failed or skipped."""

    status: str
    attempts: int
    output: Any = None
    error: dict[str, Any] | None = None
    until: str | None = None
    waits_for: str | None = None
    reason: str | None = None


class RunInfo(BaseModel):
    id: str
    automation: str
    state: State
    created: str
    ended: str | None
    due: str | None = Field(description="When it goes on by itself.")


class RunDetail(RunInfo):
    """``steps`` by id; of a loop ``ID[0]`` and so on."""

    version: str
    inputs: dict[str, Any]
    trigger: dict[str, Any]
    steps: dict[str, StepInfo]
    error: dict[str, Any] | None = None


class HookSecret(BaseModel):
    """Where deliveries go, and what they are signed with."""

    path: str
    secret: str


class StartedRun(BaseModel):
    id: str
    state: State


def instant(milliseconds: int | None) -> str | None:
    """ISO 8601 in UTC."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def automation_info(kept: Kept, draft: Automation, current: str) -> AutomationInfo:
    """``current`` is the draft's content hash."""
    fires = [
        fire
        for schedule in schedules(draft).values()
        for fire in next_fires(schedule, datetime.now(UTC), NEXT_FIRES)
    ]
    return AutomationInfo(
        id=kept.name,
        description=draft.description,
        revision=kept.revision,
        changed=instant(kept.changed) or "",
        enabled=kept.enabled,
        version=kept.version,
        published=kept.version == current,
        reason=kept.reason or None,
        triggers=list(draft.triggers.named()),
        mode=draft.mode,
        next=[fire.isoformat() for fire in sorted(fires)[:NEXT_FIRES]] if kept.enabled else [],
    )


def automation_detail(kept: Kept, draft: Automation, current: str) -> AutomationDetail:
    """As `automation_info`, with the document."""
    info = automation_info(kept, draft, current)
    return AutomationDetail(**info.model_dump(), draft=kept.draft, document=plain(draft))


def run_info(run: Run) -> RunInfo:
    return RunInfo(
        id=run.id,
        automation=run.automation,
        state=run.state,
        created=instant(run.created) or "",
        ended=instant(run.ended),
        due=instant(run.due) if run.state in ("waiting", "queued") else None,
    )


def run_detail(run: Run, state: RunState) -> RunDetail:
    """A run with what is known of its steps; large results are left to the journal."""
    created = state.created
    places = {
        step if number is None else f"{step}[{number}]": _step(place)
        for (step, number), place in state.places.items()
    }
    error = state.ended.error if state.ended else None
    return RunDetail(
        **run_info(run).model_dump(),
        version=created.version if created else "",
        inputs=dict(created.inputs) if created else {},
        trigger=dict(created.trigger) if created else {},
        steps=places,
        error=dict(error) if error else None,
    )


def _step(place: PlaceState) -> StepInfo:
    return StepInfo(
        status=place.status,
        attempts=place.attempts,
        output=place.output,
        error=dict(place.error) if place.error else None,
        until=instant(place.until) if place.until else None,
        waits_for=place.waiting.on if place.waiting else None,
        reason=place.reason or None,
    )
