"""What `/api/tools` answers."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from autobot.contracts.tools import ToolInfo


class ToolDescription(BaseModel):
    """A tool, as an automation's step names it under `use`."""

    name: str
    title: str
    description: str
    arguments: dict[str, Any] = Field(description="JSON Schema of what it is given.")
    result: dict[str, Any] = Field(description="JSON Schema of what it gives.")
    scopes: list[str]
    reads_only: bool
    on_unknown: Literal["retry", "ask", "fail"] = Field(
        description="What a step does when nobody knows whether it was done."
    )
    longest_s: float


def described(info: ToolInfo) -> ToolDescription:
    return ToolDescription(
        name=info.name,
        title=info.title,
        description=info.description,
        arguments=dict(info.arguments),
        result=dict(info.result),
        scopes=list(info.scopes),
        reads_only=info.reads_only,
        on_unknown=info.on_unknown,
        longest_s=info.longest_s,
    )
