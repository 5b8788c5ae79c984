"""Ollama's wire format, typed and bounded. Unknown fields are tolerated.

Options that only tune how a server computes are accepted and left to this one, the context among
them: it is chosen from model and memory, and a prompt that does not fit is refused, not cut.
Options that would change the words and are not offered here are refused.
"""

import base64
import binascii
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator

from autobot.schemas.json_schema import checked
from deployments.llm.chat.limits import NotOffered, wrong
from deployments.llm.chat.schemas import (
    MOST_PARTS,
    ROLES,
    Body,
    Loose,
    ModelName,
    Seed,
    StopText,
    Temperature,
    ToolParam,
    TopP,
    bounded,
    make_toolbox,
    stops,
)
from deployments.llm.chat.tools import Toolbox, said_calls, said_result
from deployments.llm.engine import ANY_OBJECT, ChatMessage, ChatRequest, Schema, picture_type

LONGEST_S = 100 * 366 * 86400.0
"""No calendar is needed for a model that stays longer than this: it stays for ever."""
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(-?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)")


def seconds(value: Any) -> Any:
    """A Go duration (``5m``, ``1h30m``) in seconds; what is no text is left as it is."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"-?\d+", value):
        return float(value)
    match = DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"'{value}' is not a duration like 5m or 30s")
    parts = re.findall(r"(?<![\d.])(\d++(?:\.\d++)?)(ns|us|µs|ms|s|m|h)", match[2])
    return (-1 if match[1] else 1) * sum(float(number) * UNITS[unit] for number, unit in parts)


def _or_for_ever(value: float) -> float:
    return -1.0 if value > LONGEST_S else value


Stay = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_or_for_ever)]
KeepAlive = Annotated[Stay | None, BeforeValidator(seconds)]
"""Seconds; negative is for ever."""


def _picture(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("images: each is a text of base64")
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"images: not base64: {error}") from error
    if picture_type(content) is None:
        raise ValueError("images: not a PNG, JPEG, WebP or GIF picture")
    return content


Picture = Annotated[bytes, BeforeValidator(_picture)]
Pictures = Annotated[list[Picture], Field(max_length=MOST_PARTS, fail_fast=True)]


MOST_STOPS = 1024
"""Ollama has no limit. Each is looked for after each token, so there is one here."""
Stops = Annotated[
    StopText | Annotated[list[StopText], Field(max_length=MOST_STOPS, fail_fast=True)] | None,
    AfterValidator(bounded),
]


class Options(Loose):
    mirostat: Annotated[Any, NotOffered(0)] = None
    typical_p: Annotated[Any, NotOffered(1)] = None
    tfs_z: Annotated[Any, NotOffered(1)] = None
    num_predict: int | None = Field(default=None, ge=-2, le=1 << 24)
    temperature: Temperature = None
    top_p: TopP = None
    top_k: int | None = Field(default=None, ge=0, le=1 << 20)
    min_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    seed: Seed = None
    stop: Stops = None
    repeat_last_n: int | None = Field(default=None, ge=-1, le=1 << 20)
    repeat_penalty: float | None = Field(default=None, gt=0, le=10, allow_inf_nan=False)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2, allow_inf_nan=False)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2, allow_inf_nan=False)


class Asked(Body):
    """What every kind of request has; `name` is the older word for `model`."""

    model: ModelName = Field(validation_alias=AliasChoices("model", "name"))
    stream: bool = True


class _Generating(Asked):
    format: Literal["json", ""] | dict[str, Any] | None = None
    options: Options = Field(default_factory=Options)
    keep_alive: KeepAlive = None
    think: Annotated[Any, NotOffered(False)] = None
    logprobs: Annotated[Any, NotOffered(False, instead="/v1/chat/completions has them")] = None
    top_logprobs: Annotated[Any, NotOffered(0)] = None

    def request(self, messages: tuple[ChatMessage, ...], prompt: str | None = None) -> ChatRequest:
        options = self.options
        limit = options.num_predict
        return ChatRequest(
            model=self.model,
            messages=messages,
            prompt=prompt,
            max_tokens=limit if limit and limit > 0 else None,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            min_p=options.min_p,
            frequency_penalty=options.frequency_penalty,
            presence_penalty=options.presence_penalty,
            repeat_penalty=options.repeat_penalty,
            repeat_last_n=options.repeat_last_n,
            seed=options.seed,
            stop=stops(options.stop),
            schema=self._schema(),
            keep_alive_s=self.keep_alive,
        )

    def _schema(self) -> Schema | None:
        if not self.format:
            return None
        if self.format == "json":
            return ANY_OBJECT
        assert isinstance(self.format, dict)
        checked(self.format, "format")
        return self.format


class SaidFunction(Loose):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])


class SaidCall(Loose):
    function: SaidFunction


class OllamaMessage(Loose):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: Pictures | None = None
    tool_calls: list[SaidCall] | None = Field(default=None, max_length=128, fail_fast=True)

    def to_engine(self) -> ChatMessage:
        """The message in words alone: calls become the assistant's, results of tools the user's."""
        text = self.content
        if self.tool_calls:
            calls = [(call.function.name, call.function.arguments) for call in self.tool_calls]
            text = "\n".join(filter(None, [text, said_calls(calls)]))
        elif self.role == "tool":
            text = said_result(text)
        return ChatMessage(ROLES[self.role], text, tuple(self.images or ()))


class OllamaChatRequest(_Generating):
    """`POST /api/chat`. Without messages the model is loaded, or with keep_alive 0 unloaded."""

    messages: list[OllamaMessage] = Field(
        default_factory=list[OllamaMessage], max_length=MOST_PARTS, fail_fast=True
    )
    tools: list[ToolParam] | None = Field(default=None, max_length=128, fail_fast=True)

    def toolbox(self) -> Toolbox | None:
        """None without tools. The model always chooses whether it calls one, and which."""
        return make_toolbox([tool.function for tool in self.tools or ()], None, None, None)

    def to_engine(self) -> ChatRequest:
        """The route adds `caller`. Raises `Invalid` when `format` is no schema."""
        return self.request(tuple(message.to_engine() for message in self.messages))


class GenerateRequest(_Generating):
    """`POST /api/generate`."""

    prompt: str = ""
    system: str = ""
    raw: bool = False
    images: Pictures | None = None
    suffix: Annotated[Any, NotOffered("")] = None
    template: Annotated[Any, NotOffered("", instead="the model's own is used")] = None
    context: Annotated[Any, NotOffered([], instead="send the messages to /api/chat")] = None
    width: Annotated[Any, NotOffered(0)] = None
    height: Annotated[Any, NotOffered(0)] = None
    steps: Annotated[Any, NotOffered(0)] = None

    @model_validator(mode="after")
    def _fits_raw(self) -> Self:
        if self.raw and self.system:
            raise wrong("system", "raw mode does not support template, system, or context")
        if self.raw and self.images:
            raise wrong("images", "raw mode does not support images here: the template places them")
        return self

    def to_engine(self) -> ChatRequest:
        """With `raw` it is the prompt alone, without the model's template.

        The route adds `caller`. Raises `Invalid` when `format` is no schema.
        """
        if self.raw:
            return self.request((), self.prompt)
        prompt = ChatMessage("user", self.prompt, tuple(self.images or ()))
        system = (ChatMessage("system", self.system),) if self.system else ()
        return self.request((*system, prompt))


class EmbedRequest(Asked):
    """`POST /api/embed`; ``prompt`` is the older word for ``input``. As in Ollama, a text that does
    not fit is cut unless `truncate` is false."""

    input: str | Annotated[list[str], Field(min_length=1, max_length=2048, fail_fast=True)] = Field(
        validation_alias=AliasChoices("input", "prompt")
    )
    truncate: bool = True
    dimensions: int | None = Field(default=None, ge=1)
    keep_alive: KeepAlive = None

    @property
    def texts(self) -> list[str]:
        """A single text is a list of one. An empty one is an empty list: it gets no vector."""
        if self.input == "":
            return []
        return [self.input] if isinstance(self.input, str) else self.input
