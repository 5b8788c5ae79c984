"""A room's own tools: functions over its services, with typed arguments and results."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autobot.automation.secrets.mask import Mask
from autobot.contracts.tools import JsonObject, OnUnknown, ToolCall, ToolInfo
from autobot.errors import Forbidden, Invalid, NotFound, Timeout, TooLarge
from autobot.keys import Scope
from autobot.web.mistakes import first_mistake

MOST_BYTES = 8 << 20
"""Of a file in a result."""


class Arguments(BaseModel):
    """What a tool is given. An argument that it does not know is a mistake, not dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(BaseModel):
    """Bytes in a result; by convention its field is called ``file``."""

    media_type: str
    content: str = Field(description="In base64.")

    @classmethod
    def of(cls, media_type: str, content: bytes) -> "File":
        """Encode it. Raises `TooLarge` for what a model's context or a journal cannot hold."""
        if len(content) > MOST_BYTES:
            raise TooLarge(
                f"The file has {len(content)} bytes, a tool gives at most {MOST_BYTES}; the "
                "platform's own HTTP route gives it whole."
            )
        # Not by pydantic, whose base64 is the one for addresses.
        return cls(media_type=media_type, content=base64.b64encode(content).decode())


Given = TypeVar("Given", bound=BaseModel)
Result = TypeVar("Result", bound=BaseModel)


def read_arguments(kind: type[Given], arguments: Any) -> Given:
    """Raises `Invalid`, which names the first mistake."""
    try:
        given = dict(arguments) if isinstance(arguments, Mapping) else arguments
        return kind.model_validate(given)
    except ValidationError as error:
        where, what = first_mistake(error.errors())
        raise Invalid(f"{where}: {what}" if where else what).of(where) from None


@dataclass(frozen=True)
class Tool(Generic[Given, Result]):
    """A tool as its room defines it; the words mean what they mean in `ToolInfo`.

    The description is for a model as much as for a person: what it does, and when to use it.
    """

    name: str
    title: str
    description: str
    arguments: type[Given]
    result: type[Result]
    run: Callable[[Given, ToolCall], Awaitable[Result]]
    scopes: tuple[Scope, ...]
    reads_only: bool = True
    on_unknown: OnUnknown = "retry"
    longest_s: float = 120.0

    def info(self) -> ToolInfo:
        """Describe it; the schemas are pydantic's, of what is sent and of what comes back."""
        return ToolInfo(
            name=self.name,
            title=self.title,
            description=self.description,
            arguments=self.arguments.model_json_schema(),
            result=self.result.model_json_schema(mode="serialization"),
            scopes=self.scopes,
            reads_only=self.reads_only,
            on_unknown=self.on_unknown,
            longest_s=self.longest_s,
        )


class ToolSet:
    """`Tools` of one application: what its room defines."""

    def __init__(self, tools: Iterable[Tool[Any, Any]]) -> None:
        self._tools = {tool.name: tool for tool in sorted(tools, key=lambda tool: tool.name)}
        self._infos = [tool.info() for tool in self._tools.values()]

    async def describe(self) -> Sequence[ToolInfo]:
        return self._infos

    async def run(self, call: ToolCall) -> JsonObject:
        """As `Tools.run`. What is out of time is cancelled. An error says none of the call's
        secrets: Ray Serve logs what is raised here."""
        try:
            return await self._run(call)
        except Exception as error:
            secrets = getattr(call, "secrets", ())  # a room main of before sends none
            if not secrets:
                raise
            raise Mask(secrets).error(error) from None

    async def _run(self, call: ToolCall) -> JsonObject:
        tool = self._tools.get(call.name)
        if tool is None:
            raise NotFound(f"There is no tool '{call.name}' here.")
        for scope in tool.scopes:
            if not call.caller.allows(scope):
                raise Forbidden(f"This API key lacks the scope '{scope}'.")
        arguments = read_arguments(tool.arguments, call.arguments)
        seconds = min(call.within_s, tool.longest_s)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                result = await tool.run(arguments, call)
        except TimeoutError:
            if not limit.expired():
                raise  # the tool's own
            raise Timeout(f"{call.name} was not done within {seconds:g} s.") from None
        # A large one takes long enough to be felt by everybody else.
        return await asyncio.to_thread(result.model_dump, mode="json", by_alias=True)
