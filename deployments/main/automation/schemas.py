"""What the routes of automations and runs answer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, Field

from autobot.automation.document import Automation
from autobot.automation.errors import InvalidAutomation
from autobot.automation.reading import content_hash, load, plain
from autobot.automation.runs.state import PlaceState, RunState
from autobot.automation.schedule import next_fires
from autobot.contracts.automations import MOST_AUTOMATIONS, Kept
from autobot.contracts.runs import Run, State
from deployments.main.automation.service import schedules

NEXT_FIRES = 5


class AutomationInfo(BaseModel):
    """``version`` is the published one, whose id is the hash of its content; ``published`` says
    whether that is the draft. ``next`` and ``triggers`` are of what runs, or of the draft where
    nothing was published. Times are ISO 8601."""

    id: str
    description: str
    revision: int
    changed: str
    enabled: bool
    version: str | None
    published: bool
    reason: str | None = Field(description="Why the platform turned it off.")
    mistake: str | None = Field(
        None, description="What is wrong with the draft, which an earlier program saved."
    )
    triggers: list[str]
    mode: str
    next: list[str] = Field(description="When its schedules start runs next.")


class AutomationDetail(AutomationInfo):
    draft: str = Field(description="As its author wrote it.")
    document: dict[str, Any] = Field(description="The draft as JSON; empty with a `mistake`.")


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


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as this program reads it; without a document, why not."""

    automation: Automation | None
    hash: str = ""
    mistake: str | None = None


@lru_cache(maxsize=MOST_AUTOMATIONS)
def read_draft(text: str) -> Draft:
    """Read it; remembered, for a list of 1,000 takes seconds otherwise."""
    try:
        automation = load(text).automation
    except InvalidAutomation as error:
        return Draft(None, mistake=error.detail)
    return Draft(automation, content_hash(automation))


def automation_info(kept: Kept, published: Automation | None) -> AutomationInfo:
    """``published`` is what runs."""
    draft = read_draft(kept.draft)
    shown = published or draft.automation
    fires = [
        fire
        for schedule in (schedules(shown).values() if shown else ())
        for fire in next_fires(schedule, datetime.now(UTC), NEXT_FIRES)
    ]
    return AutomationInfo(
        id=kept.name,
        description=shown.description if shown else "",
        revision=kept.revision,
        changed=instant(kept.changed) or "",
        enabled=kept.enabled,
        version=kept.version,
        published=kept.version is not None and kept.version == draft.hash,
        reason=kept.reason or None,
        mistake=draft.mistake,
        triggers=list(shown.triggers.named()) if shown else [],
        mode=shown.mode if shown else "queued",
        next=[fire.isoformat() for fire in sorted(fires)[:NEXT_FIRES]] if kept.enabled else [],
    )


def automation_detail(kept: Kept, published: Automation | None) -> AutomationDetail:
    """As `automation_info`, with the document."""
    info, draft = automation_info(kept, published), read_draft(kept.draft).automation
    document = plain(draft) if draft else {}
    return AutomationDetail(**info.model_dump(), draft=kept.draft, document=document)


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
