"""OpenAI's older completions: raw text, continued without a chat template."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from deployments.llm.chat.answers import ChatUsage, Fingerprint
from deployments.llm.chat.limits import NotOffered, wrong
from deployments.llm.chat.n_sampling import repeated
from deployments.llm.chat.schemas import (
    MOST_CHOICES,
    Body,
    LogitBias,
    ModelName,
    Penalty,
    Seed,
    Stop,
    StreamOptions,
    Temperature,
    TopP,
    biases,
    stops,
)
from deployments.llm.engine import ChatRequest

Prompt = Annotated[str, Field(min_length=1)]


class CompletionRequest(Body):
    """`POST /v1/completions`. Token ids are refused: they mean nothing without their tokenizer."""

    model: ModelName
    prompt: (
        Prompt
        | Annotated[list[Prompt], Field(min_length=1, max_length=MOST_CHOICES, fail_fast=True)]
    )
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(
        default=16, ge=0, le=1 << 24, description="OpenAI's own default; 0 only reads the prompt."
    )
    temperature: Temperature = None
    top_p: TopP = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    seed: Seed = None
    stop: Stop = None
    n: int | None = Field(default=None, ge=1, le=MOST_CHOICES)
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: bool = False
    logit_bias: LogitBias = None
    suffix: Annotated[Any, NotOffered("")] = None
    best_of: Annotated[Any, NotOffered(1)] = None

    @model_validator(mode="after")
    def _only_what_is_honoured(self) -> "CompletionRequest":
        if self.stream_options and not self.stream:
            raise wrong("stream_options", "only allowed when stream is true")
        if self.echo and self.logprobs is not None:
            raise wrong("echo", "cannot be had together with logprobs")
        if len(self.prompts) * (self.n or 1) > MOST_CHOICES:
            raise wrong("n", f"n times prompts may be {MOST_CHOICES} at most")
        return self

    @property
    def prompts(self) -> list[str]:
        """All prompts in the order of the request. A single text is a list of one."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk of usage. Whole answers have it in any case."""
        return self.stream_options is not None and self.stream_options.include_usage

    def to_engine(self) -> list[ChatRequest]:
        """`n` requests for each prompt, in the order of the answer's choices."""
        return [one for prompt in self.prompts for one in repeated(self._one(prompt), self.n or 1)]

    def _one(self, prompt: str) -> ChatRequest:
        return ChatRequest(
            model=self.model,
            messages=(),
            prompt=prompt,
            max_tokens=1 if self.max_tokens == 0 else self.max_tokens,  # see `completions.api`
            temperature=self.temperature,
            top_p=self.top_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            seed=self.seed,
            stop=stops(self.stop),
            logprobs=self.logprobs,
            logit_bias=biases(self.logit_bias),
        )


class CompletionLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None


class Completion(BaseModel):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: ChatUsage | None = None
    system_fingerprint: Fingerprint = None
