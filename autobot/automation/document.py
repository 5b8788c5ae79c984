"""An automation as its author writes it: triggers, inputs, steps and limits.

All that a document says by leaving it out is filled in here, but for what the registry of tools
decides (``on_unknown``) and what a step needs, for which see ``graph.py``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, JsonValue

from autobot.automation.durations import UNITS, Duration
from autobot.automation.inputs import Input
from autobot.automation.names import Identifier, Slug, ToolName
from autobot.automation.triggers import Triggers

SCHEMA = 1
"""The number of the format; a document that needs a newer program says a greater one."""
MOST_STEPS = 200
MOST_INPUTS = 50

Mode = Literal["single", "queued", "parallel", "restart"]
OnUnknown = Literal["retry", "ask", "fail"]


class Retry(BaseModel, frozen=True, extra="forbid"):
    """How often a failed step is tried, with a jittered wait that doubles."""

    attempts: int = Field(default=3, ge=1, le=10, description="All of them, the first included")
    wait: Duration = Field(default=1, description="Before the second attempt")
    longest_wait: Duration = Field(default=60, description="The wait doubles up to this")


def _as_items(value: Any) -> Any:
    return {"items": value} if isinstance(value, str | list) else value


Items = str | list[JsonValue]


class ForEach(BaseModel, frozen=True, extra="forbid"):
    """A step that runs once for each item of a list, which `items` is or gives as an expression.

    The step sees ``item`` and ``index`` (from 0); its result is the list of results.
    """

    items: Items
    parallel: int = Field(default=1, ge=1, le=20, description="Items under way at once")


Loop = Annotated[ForEach, BeforeValidator(_as_items, json_schema_input_type=ForEach | Items)]


class Step(BaseModel, frozen=True, extra="forbid"):
    """One use of a tool.

    ``on_error`` is ``fail``, ``continue`` (later steps see ``steps.ID.error``), or the id of the
    step that handles it: what needs the failed step is then skipped, and the run has not failed
    unless its handler does or is left out by its own ``if``.
    """

    id: Identifier
    use: ToolName
    arguments: dict[str, JsonValue] = Field(default={}, alias="with")
    condition: str | bool = Field(default=True, alias="if")
    needs: tuple[Identifier, ...] | None = Field(default=None, max_length=MOST_STEPS)
    for_each: Loop | None = None
    retry: Retry = Retry()
    on_unknown: OnUnknown | None = None
    on_error: Literal["fail", "continue"] | Identifier = "fail"
    timeout: Duration = 600

    @property
    def handler(self) -> str | None:
        """The id of the step that runs when this one fails, if there is one."""
        return None if self.on_error in ("fail", "continue") else self.on_error


class Limits(BaseModel, frozen=True, extra="forbid"):
    """What one automation may use; a document can only make it less."""

    queue: int = Field(default=100, ge=1, le=100, description="Runs that wait for their turn")
    parallel: int = Field(default=10, ge=1, le=100, description="Runs at once in mode parallel")
    items: int = Field(default=1_000, ge=1, le=1_000, description="Of one for_each")
    journal: int = Field(default=10_000, ge=100, le=10_000, description="Entries of one run")
    waiting: Duration = Field(default=30 * UNITS["d"], description="For approvals and waits")
    runs_kept: int = Field(default=1_000, ge=1, le=1_000, description="Runs that have ended")
    kept_for: Duration = Field(default=30 * UNITS["d"], description="Counted from a run's end")
    failures: int = Field(default=10, ge=1, le=100, description="In a row; then it is turned off")


class Automation(BaseModel, frozen=True, extra="forbid"):
    """A whole document. ``on_error`` is the id of the step that runs when a run fails."""

    schema_number: int = Field(default=SCHEMA, alias="schema", ge=1, le=SCHEMA)
    name: Slug
    description: str = Field(default="", max_length=2_000)
    triggers: Triggers = Field(default=Triggers(), alias="on")
    inputs: dict[Identifier, Input] = Field(default={}, max_length=MOST_INPUTS)
    mode: Mode = "queued"
    steps: tuple[Step, ...] = Field(min_length=1, max_length=MOST_STEPS)
    on_error: Identifier | None = None
    limits: Limits = Limits()

    def step(self, step_id: str) -> Step:
        """Return the step of that id; raises `KeyError` where there is none."""
        return self.by_id[step_id]

    @property
    def by_id(self) -> Mapping[str, Step]:
        """Every step under its id, in the order of the document."""
        return {step.id: step for step in self.steps}
