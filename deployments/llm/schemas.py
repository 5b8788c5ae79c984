"""OpenAI's chat wire format, typed and bounded. Unknown fields are tolerated, known ones kept.

A field this room understands but cannot honour is refused: an answer that ignored it would lie.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from deployments.llm.engine import ChatMessage, ChatRequest, Role

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    def to_engine(self) -> ChatMessage:
        parts = self.content or ""
        text = parts if isinstance(parts, str) else "".join(part.text for part in parts)
        return ChatMessage(ROLES[self.role], text)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class ResponseFormat(BaseModel):
    type: str = "text"


def _stops(value: str | list[str] | None) -> str | list[str] | None:
    if any(not stop for stop in ([value] if isinstance(value, str) else value or [])):
        raise ValueError("a stop sequence is empty")
    return value


Stop = Annotated[str, Field(max_length=1000)]
Penalty = Annotated[float | None, Field(ge=-2, le=2, allow_inf_nan=False)]


class ChatCompletionRequest(BaseModel):
    """`POST /v1/chat/completions`. `model` may be `default`."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1, max_length=256)
    messages: list[Message] = Field(min_length=1, max_length=4096)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=1 << 24)
    max_completion_tokens: int | None = Field(None, ge=1, le=1 << 24)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Annotated[
        Stop | Annotated[list[Stop], Field(max_length=4)] | None, AfterValidator(_stops)
    ] = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = Field(None, max_length=0, description="Not offered yet.")

    @model_validator(mode="after")
    def _only_what_is_honoured(self) -> "ChatCompletionRequest":
        if self.response_format and self.response_format.type != "text":
            raise ValueError(f"response_format '{self.response_format.type}' is not offered")
        if self.stream_options and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        return self

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def to_engine(self) -> ChatRequest:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return ChatRequest(
            model=self.model,
            messages=tuple(message.to_engine() for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            seed=self.seed,
            stop=tuple(stop),
        )


class PromptDetails(BaseModel):
    cached_tokens: int


class ChatUsage(BaseModel):
    """The engine's own counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage


class Model(BaseModel):
    """OpenAI's model object; `engine`, `context` (tokens), `loaded` and `default` are ours."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    engine: str
    context: int | None
    loaded: bool
    default: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]
