"""OpenAI's chat wire format, typed and bounded. Unknown fields are tolerated, known ones kept.

A field this room understands but cannot honour is refused: an answer that ignored it would lie.
"""

import base64
import binascii
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from autobot.schemas.json_schema import checked
from deployments.llm.chat.limits import NotOffered, wrong
from deployments.llm.chat.tools import Tool, Toolbox, said_calls, said_result
from deployments.llm.engine import ANY_OBJECT, ChatMessage, ChatRequest, Role, Schema, picture_type

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",  # in words of our own: see `tools`
    "function": "user",
}
MOST_CHOICES = 8
LOOSE = ConfigDict(extra="ignore")


class Loose(BaseModel):
    """Unknown fields are tolerated, and null is as good as absent: clients in many languages write
    what they do not set as null."""

    model_config = LOOSE

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields: dict[Any, Any] = value
        return {name: one for name, one in fields.items() if one is not None}


class Body(Loose):
    """A request. JSON can say half a surrogate pair; no engine can read it, nor can it be sent
    back, so it is refused wherever it stands."""

    @model_validator(mode="before")
    @classmethod
    def _text_is_unicode(cls, value: Any) -> Any:
        parts: list[Any] = [value]
        for part in parts:  # it grows while it is read
            if isinstance(part, str):
                if not part.isascii():
                    part.encode()  # raises a ValueError
            elif isinstance(part, dict):
                parts += [*part, *part.values()]
            elif isinstance(part, list):
                parts += part
        return value


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class RefusalPart(BaseModel):
    """What an assistant said when it refused: in a history they are its words."""

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        """The refusal, by the same name as a `TextPart`'s words: both are read alike."""
        return self.refusal


class ImageUrl(BaseModel):
    model_config = LOOSE
    url: str


class ImagePart(BaseModel):
    """A picture in the request itself: this server fetches no addresses for its callers."""

    type: Literal["image_url"]
    image_url: ImageUrl

    def content(self) -> bytes:
        """The picture's bytes, still encoded. Raises as `picture`."""
        return picture(self.image_url.url)


def picture(url: str) -> bytes:
    """The bytes of a ``data:image/...;base64,`` URL. Raises ValueError for anything else."""
    head, _, encoded = url.partition(";base64,")
    if not head.startswith("data:image/"):
        raise ValueError("image_url: only data:image/...;base64, URLs are accepted")
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"image_url: not base64: {error}") from error
    if picture_type(content) is None:
        raise ValueError("image_url: not a PNG, JPEG, WebP or GIF picture")
    return content


class CalledFunction(BaseModel):
    name: str
    arguments: str = "{}"


class EarlierCall(BaseModel):
    model_config = LOOSE
    id: str = ""
    function: CalledFunction


Part = Annotated[TextPart | ImagePart | RefusalPart, Field(discriminator="type")]
MOST_PARTS = 4096
"""Messages of a conversation, and parts of a message."""
Parts = Annotated[list[Part], Field(max_length=MOST_PARTS, fail_fast=True)]
"""Of a list only the first mistake is told: thousands would take a gigabyte, and seconds in which
nobody else is served."""


class Message(BaseModel):
    model_config = LOOSE

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Parts | None = None
    refusal: str | None = None
    tool_calls: list[EarlierCall] | None = Field(default=None, max_length=128, fail_fast=True)
    function_call: CalledFunction | None = Field(default=None, description="The older word.")

    @model_validator(mode="after")
    def _pictures_are_pictures(self) -> "Message":
        self.images()
        return self

    def images(self) -> tuple[bytes, ...]:
        """The encoded pictures of all parts, in order. Raises ValueError if one is no picture."""
        parts = self.content if isinstance(self.content, list) else []
        return tuple(part.content() for part in parts if isinstance(part, ImagePart))

    def to_engine(self) -> ChatMessage:
        """The message in the engines' own roles.

        Every engine reads tool calls and their results as text: calls are the assistant's words,
        results the user's.
        """
        parts = self.content or self.refusal or ""
        text = (
            parts
            if isinstance(parts, str)
            else "".join(part.text for part in parts if not isinstance(part, ImagePart))
        )
        called = [call.function for call in self.tool_calls or ()]
        if self.function_call:
            called.append(self.function_call)
        if called:
            calls = [(function.name, _arguments(function)) for function in called]
            text = "\n".join(filter(None, [text, said_calls(calls)]))
        elif self.role in ("tool", "function"):
            text = said_result(text)
        return ChatMessage(ROLES[self.role], text, self.images())


def _arguments(function: CalledFunction) -> Any:
    try:
        return json.loads(function.arguments)
    except (ValueError, RecursionError):
        return function.arguments


class StreamOptions(BaseModel):
    model_config = LOOSE

    include_usage: bool = False


class NamedSchema(BaseModel):
    model_config = LOOSE

    name: str = Field(default="answer", max_length=64)
    schema_: dict[str, Any] = Field(default_factory=dict[str, Any], alias="schema")


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _schema_is_there(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing")
        return self

    def schema_or_none(self) -> Schema | None:
        """Raises `Invalid` when what was sent is no schema."""
        if self.type == "text":
            return None
        if self.json_schema is None or not self.json_schema.schema_:
            return ANY_OBJECT
        checked(self.json_schema.schema_, "response_format")
        return self.json_schema.schema_


class FunctionTool(BaseModel):
    model_config = LOOSE

    name: str = Field(pattern=r"^[\w.-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None

    def to_tool(self) -> Tool:
        """A function without `parameters` gets a schema of an object that names no property."""
        return Tool(self.name, self.description or "", self.parameters or {"properties": {}})


class ToolParam(BaseModel):
    type: Literal["function"]
    function: FunctionTool


class NamedFunction(BaseModel):
    name: str


class NamedChoice(BaseModel):
    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"]


def make_toolbox(
    tools: list[FunctionTool] | None, choice: str | None, named: str | None, parallel: bool | None
) -> Toolbox | None:
    """None when there is nothing to call. Raises `Invalid` for a schema or name that is wrong."""
    if not tools or choice == "none":
        return None
    box = Toolbox([tool.to_tool() for tool in tools], choice == "required", parallel)
    return box.only(named) if named else box


def bounded(value: str | list[str] | None) -> str | list[str] | None:
    """Return `value` as it is. Raises ValueError for an empty sequence and for too many letters."""
    sequences = [value] if isinstance(value, str) else value or []
    if not all(sequences):
        raise ValueError("a stop sequence is empty")
    if sum(map(len, sequences)) > MOST_STOP_LETTERS:
        raise ValueError(f"the stop sequences have more than {MOST_STOP_LETTERS} letters together")
    return value


StopText = Annotated[str, Field(max_length=1000)]
MOST_STOPS = 4
MOST_STOP_LETTERS = 16_384
"""Of all together: an engine compares them with its answer after each token, for all its chats."""
Stop = Annotated[
    StopText | Annotated[list[StopText], Field(max_length=MOST_STOPS, fail_fast=True)] | None,
    AfterValidator(bounded),
]
Penalty = Annotated[float | None, Field(ge=-2, le=2, allow_inf_nan=False)]
Temperature = Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)]
TopP = Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[int | None, Field(ge=1, le=1 << 24)]
TokenId = Annotated[str, Field(pattern=r"^\d{1,7}$")]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
LogitBias = Annotated[dict[TokenId, Bias], Field(max_length=1024, fail_fast=True)] | None
"""By token ids of the model's own vocabulary: those of another one would mean other words."""
Seed = Annotated[int | None, Field(ge=-(2**63), lt=2**63)]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]


def biases(value: dict[str, float] | None) -> tuple[tuple[int, float], ...]:
    """Pairs of a token's id and what is added to its logit. None gives no pairs."""
    return tuple((int(token), bias) for token, bias in (value or {}).items())


def stops(value: str | list[str] | None) -> tuple[str, ...]:
    """The sequences as an engine takes them. A single text is one sequence, None is no sequence."""
    return (value,) if isinstance(value, str) else tuple(value or ())


class ChatCompletionRequest(Body):
    """`POST /v1/chat/completions`. `model` may be `default`."""

    model: ModelName
    messages: list[Message] = Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Tokens = None
    max_completion_tokens: Tokens = None
    temperature: Temperature = None
    top_p: TopP = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    seed: Seed = None
    stop: Stop = None
    n: int | None = Field(default=None, ge=1, le=MOST_CHOICES)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[ToolParam] | None = Field(default=None, max_length=128, fail_fast=True)
    tool_choice: ToolChoice | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    logit_bias: LogitBias = None
    functions: Annotated[Any, NotOffered([], instead="send them as tools")] = None
    function_call: Annotated[Any, NotOffered("none", instead="send tool_choice")] = None
    modalities: Annotated[Any, NotOffered(["text"])] = None
    audio: Annotated[Any, NotOffered()] = None
    web_search_options: Annotated[Any, NotOffered()] = None
    moderation: Annotated[Any, NotOffered()] = None
    reasoning_effort: Annotated[Any, NotOffered("none", "minimal")] = None
    verbosity: Annotated[Any, NotOffered("medium")] = None
    store: Annotated[Any, NotOffered(False, instead="/v1/responses stores")] = None

    @model_validator(mode="after")
    def _only_what_is_honoured(self) -> "ChatCompletionRequest":
        if self.stream_options and not self.stream:
            raise wrong("stream_options", "only allowed when stream is true")
        if self.top_logprobs is not None and not self.logprobs:
            raise wrong("top_logprobs", "needs logprobs")
        if self.logprobs and self.tools and self.tool_choice != "none":
            raise wrong("logprobs", "cannot be had together with tools")
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise wrong("tool_choice", "needs tools")
        return self

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk of usage. Whole answers have it in any case."""
        return self.stream_options is not None and self.stream_options.include_usage

    def toolbox(self) -> Toolbox | None:
        """None when nothing may be called. Raises `Invalid` as `make_toolbox` does."""
        functions = [tool.function for tool in self.tools or ()]
        named = isinstance(self.tool_choice, NamedChoice)
        name = self.tool_choice.function.name if isinstance(self.tool_choice, NamedChoice) else None
        choice = None if named else str(self.tool_choice)
        return make_toolbox(functions, choice, name, self.parallel_tool_calls)

    def to_engine(self) -> ChatRequest:
        """The request for one choice; the route adds `caller` and repeats it `n` times.

        Of two limits `max_completion_tokens` counts. Raises `Invalid` when the schema is none.
        """
        form = self.response_format
        return ChatRequest(
            model=self.model,
            messages=tuple(message.to_engine() for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            seed=self.seed,
            stop=stops(self.stop),
            schema=form.schema_or_none() if form else None,
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            logit_bias=biases(self.logit_bias),
        )
