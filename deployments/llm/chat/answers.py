"""OpenAI's chat wire format: what this room answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from deployments.llm.chat.schemas import CalledFunction

Fingerprint = Annotated[
    str | None,
    Field(
        description="The same request with the same `seed` gives the same answer wherever this is "
        "the same; chats computed beside others each have their own. Null when the engine does not "
        "say. A stream has it in its last chunks."
    ),
]


class PromptDetails(BaseModel):
    cached_tokens: int


class ChatUsage(BaseModel):
    """The engine's own counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class AnsweredCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[AnsweredCall] | None = None


class TopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class LogprobToken(TopLogprob):
    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    content: list[LogprobToken]


class Choice(BaseModel):
    index: int = 0
    message: AssistantMessage
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls"]


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage
    system_fingerprint: Fingerprint = None


class Model(BaseModel):
    """OpenAI's model object; `engine`, `context` (tokens), `loaded` and `default` are ours.

    Of a declared list `engine` is ``fallback`` and `owned_by` names its places, in order.
    """

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
