"""What starts a run: the types under ``on`` in a document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, JsonValue

from autobot.automation.names import Identifier

Values = dict[Identifier, JsonValue]
Missed = Literal["once", "skip", "all"]
EventKind = Literal["room-down", "room-up", "run-failed", "document-indexed", "alert"]
MOST_TRIGGERS = 20
"""Of one kind in one automation."""


class _Trigger(BaseModel, frozen=True, extra="forbid"):
    inputs: Values = Field(default={}, description="Values for inputs; expressions may say trigger")


class Schedule(_Trigger, frozen=True):
    """Times of day by cron's five fields in a named zone."""

    cron: str = Field(max_length=200, description="Minute, hour, day of month, month, day of week")
    timezone: str = Field(max_length=64, description="A name of the IANA database; required")
    missed: Missed = Field(
        default="once", description="What to make up for after a time in which nothing could run"
    )


class Webhook(_Trigger, frozen=True):
    """A signed HTTP POST (Standard Webhooks)."""


class Manual(_Trigger, frozen=True):
    """A person starts it, with a form made from the inputs."""


class File(_Trigger, frozen=True):
    """A file that arrives in a watched folder."""

    folder: str = Field(min_length=1, max_length=400)
    pattern: str = Field(default="*", min_length=1, max_length=200, description="As in *.pdf")


class Event(_Trigger, frozen=True):
    """Something that the platform tells."""

    kind: EventKind
    condition: str | None = Field(
        default=None, alias="if", max_length=4_000, description="An expression about trigger"
    )


class Mcp(_Trigger, frozen=True):
    """The automation is a tool for models."""

    description: str = Field(min_length=1, max_length=1_000, description="What a model is told")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _one_or_several(kind: Any) -> BeforeValidator:
    return BeforeValidator(_as_list, json_schema_input_type=kind | tuple[kind, ...])


Most = Field(max_length=MOST_TRIGGERS)
Schedules = Annotated[tuple[Schedule, ...], _one_or_several(Schedule), Most]
Files = Annotated[tuple[File, ...], _one_or_several(File), Most]
Events = Annotated[tuple[Event, ...], _one_or_several(Event), Most]


class Triggers(BaseModel, frozen=True, extra="forbid"):
    """All that may start a run; of schedules, folders and events there may be several."""

    schedule: Schedules = ()
    webhook: Webhook | None = None
    manual: Manual | None = None
    file: Files = ()
    event: Events = ()
    mcp: Mcp | None = None

    def named(self) -> dict[str, _Trigger]:
        """Return each trigger under its name: ``webhook``, and by position ``schedule``,
        ``schedule-2``, ``schedule-3``. A new cron text keeps its trigger's name."""
        named: dict[str, _Trigger] = {}
        for kind in type(self).model_fields:
            value = getattr(self, kind)
            several = value if isinstance(value, tuple) else (value,) if value else ()
            for position, trigger in enumerate(several, 1):
                named[kind if position == 1 else f"{kind}-{position}"] = trigger
        return named
