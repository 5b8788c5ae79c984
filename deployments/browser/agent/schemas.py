"""What callers of the agent send, and what they are told."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deployments.browser.extract.caller_schema import checked
from deployments.browser.pages.schemas import Domain, NewSession
from deployments.browser.sessions.service import MAX_LIFE_S

State = Literal["running", "waiting", "done", "limit", "failed", "cancelled"]
Limit = Literal["steps", "seconds", "tokens", "domains"]


class TaskLimits(BaseModel):
    """Where a task stops, whatever it has found by then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=20, ge=1, le=100, description="Decisions of the model.")
    seconds: float = Field(
        default=300,
        ge=1,
        le=3600,
        description="From its first step on; not while it waits for you.",
    )
    tokens: int = Field(default=200_000, ge=500, le=5_000_000, description="In and out together.")
    answer_s: float = Field(default=300, ge=1, le=3600, description="Wait for a person's answer.")
    domains: list[Domain] = Field(
        default_factory=list,
        max_length=256,
        fail_fast=True,
        description="Only these domains and subdomains.",
    )

    @field_validator("domains")
    @classmethod
    def _named(cls, given: list[str]) -> list[str]:
        return NewSession(allow=given).allow


class NewTask(BaseModel):
    """Something to find or to do in a browser, in plain words."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    goal: str = Field(min_length=1, max_length=4000)
    start_url: str = Field(min_length=1, max_length=8192, description="http or https.")
    schema_: dict[str, Any] | None = Field(
        default=None, alias="schema", description="JSON schema of an object: the result's `output`."
    )
    model: str = Field(default="default", min_length=1, max_length=256)
    limits: TaskLimits = Field(default_factory=TaskLimits)
    stream: bool = Field(default=False, description="Answer with server-sent events.")
    keep_session: bool = Field(default=False, description="Leave the session open at the end.")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.schema_ is not None:
            checked(self.schema_)
        return self

    def session(self) -> NewSession:
        """Return the session to do it in. The task closes it; its own limits are the second line,
        wide enough for a model that thinks long and a person who answers late.
        """
        lifetime = min(MAX_LIFE_S, self.limits.seconds + 6 * self.limits.answer_s + 600)
        domains = self.limits.domains
        return NewSession(allow=domains, idle_s=lifetime, lifetime_s=lifetime)


class PersonsAnswer(BaseModel):
    """What a person says to a task that asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: Annotated[str, Field(min_length=1, max_length=2000)]


class TaskUsage(BaseModel):
    """What a task has cost: ``requests`` to the model, ``tokens`` in and out, ``seconds``."""

    steps: int
    requests: int
    tokens: int
    seconds: float


class Step(BaseModel):
    """One step: why, what was done where, and what came of it."""

    step: int
    thought: str
    action: dict[str, Any] = Field(description="kind, and ref, text and submit where it has them.")
    did: str = Field(description="The action in words.")
    outcome: str
    url: str


class Fault(BaseModel):
    """Why a task failed: a problem's stable type, and a sentence."""

    type: str
    detail: str


class TaskSummary(BaseModel):
    """A task without its steps."""

    id: str
    session: str = Field(description="Watch it, or take its wheel, while the task runs.")
    goal: str
    model: str
    state: State
    limit: Limit | None = Field(description="Which one ended it, in state `limit`.")
    error: Fault | None = Field(description="In state `failed`.")
    question: str | None = Field(description="In state `waiting`: what it asks the person.")
    result: str | None = Field(description="In state `done`: the answer in words.")
    output: dict[str, Any] | None = Field(description="In state `done`, under the given schema.")
    pages: list[str] = Field(description="The addresses it has seen, in order, at most 100.")
    created: float = Field(description="Unix seconds.")
    usage: TaskUsage


class TaskView(TaskSummary):
    """A task."""

    steps: list[Step]


class TaskList(BaseModel):
    """This key's tasks, the oldest first."""

    tasks: list[TaskSummary]
    unreachable: list[str] = Field(
        default_factory=list, description="Addresses of the room's VMs whose own are missing here."
    )
