"""OpenAI's responses: what a client may send."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from deployments.llm.chat.limits import NotOffered, wrong
from deployments.llm.chat.schemas import (
    LOOSE,
    MOST_PARTS,
    Body,
    CalledFunction,
    EarlierCall,
    FunctionTool,
    ImagePart,
    ImageUrl,
    Message,
    ModelName,
    NamedSchema,
    RefusalPart,
    ResponseFormat,
    Temperature,
    TextPart,
    Tokens,
    ToolChoice,
    TopP,
    make_toolbox,
)
from deployments.llm.chat.tools import Toolbox
from deployments.llm.engine import ChatMessage, ChatRequest


class InputText(BaseModel):
    type: Literal["input_text", "output_text", "text"]
    text: str


class InputImage(BaseModel):
    model_config = LOOSE
    type: Literal["input_image"]
    image_url: str


InputPart = Annotated[InputText | InputImage | RefusalPart, Field(discriminator="type")]
InputParts = Annotated[list[InputPart], Field(max_length=MOST_PARTS, fail_fast=True)]


class InputMessage(BaseModel):
    model_config = LOOSE

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | InputParts

    def to_engine(self) -> ChatMessage:
        """The message as `Message` makes it. Raises ValueError for a picture that is none."""
        parts: Any = self.content
        if isinstance(self.content, list):
            parts = [
                ImagePart(type="image_url", image_url=ImageUrl(url=part.image_url))
                if isinstance(part, InputImage)
                else TextPart(type="text", text=part.text)
                for part in self.content
            ]
        return Message(role=self.role, content=parts).to_engine()


class FunctionCall(BaseModel):
    model_config = LOOSE

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str

    def to_engine(self) -> ChatMessage:
        """The call as words of the assistant. Arguments that are no JSON stay a text."""
        function = CalledFunction(name=self.name, arguments=self.arguments)
        called = EarlierCall(id=self.call_id, function=function)
        return Message(role="assistant", tool_calls=[called]).to_engine()


class FunctionOutput(BaseModel):
    model_config = LOOSE

    type: Literal["function_call_output"]
    call_id: str
    output: str | Annotated[list[InputText], Field(max_length=MOST_PARTS, fail_fast=True)]

    def to_engine(self) -> ChatMessage:
        """The result as words of the user: see `said_result`."""
        output = self.output
        text = output if isinstance(output, str) else "".join(part.text for part in output)
        return Message(role="tool", content=text).to_engine()


Item = FunctionCall | FunctionOutput | InputMessage


class TextFormat(NamedSchema):
    type: Literal["text", "json_object", "json_schema"] = "text"


class TextConfig(BaseModel):
    model_config = LOOSE
    format: TextFormat = Field(default_factory=TextFormat)
    verbosity: Annotated[Any, NotOffered("medium")] = None


class Reasoning(BaseModel):
    """No model here reasons apart from its answer, so there is nothing to sum up either."""

    model_config = LOOSE
    effort: Annotated[Any, NotOffered("none", "minimal")] = None


def _to_include(value: list[str] | None) -> list[str] | None:
    if "message.output_text.logprobs" in (value or ()):
        raise ValueError("log-probabilities are not offered here; /v1/chat/completions has them")
    return value


class NamedTool(BaseModel):
    type: Literal["function"]
    name: str


class ResponseTool(FunctionTool):
    type: Literal["function"]


class ResponseRequest(Body):
    """`POST /v1/responses`."""

    model: ModelName
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Item], Field(max_length=MOST_PARTS, fail_fast=True)]
    )
    instructions: str | None = None
    previous_response_id: str | None = Field(default=None, max_length=64)
    store: bool = True
    stream: bool = False
    max_output_tokens: Tokens = None
    temperature: Temperature = None
    top_p: TopP = None
    tools: list[ResponseTool] = Field(
        default_factory=list[ResponseTool], max_length=128, fail_fast=True
    )
    tool_choice: ToolChoice | NamedTool = "auto"
    parallel_tool_calls: bool | None = None
    text: TextConfig = Field(default_factory=TextConfig)
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16, fail_fast=True)
    user: str | None = None
    include: Annotated[
        list[str] | None, Field(max_length=16, fail_fast=True), AfterValidator(_to_include)
    ] = None
    """All but log-probabilities are of tools the server runs and of reasoning: there are none."""
    reasoning: Reasoning | None = None
    top_logprobs: Annotated[Any, NotOffered(0)] = None
    background: Annotated[Any, NotOffered(False)] = None
    background_options: Annotated[Any, NotOffered()] = None
    conversation: Annotated[Any, NotOffered(instead="send previous_response_id")] = None
    context_management: Annotated[Any, NotOffered([], instead="truncation cuts")] = None
    prompt: Annotated[Any, NotOffered()] = None
    moderation: Annotated[Any, NotOffered()] = None
    image: Annotated[Any, NotOffered()] = None
    access_programs: Annotated[Any, NotOffered()] = None

    @model_validator(mode="after")
    def _choice_has_tools(self) -> "ResponseRequest":
        if self.tool_choice not in ("none", "auto") and not self.tools:
            raise wrong("tool_choice", "needs tools")
        for item in self.items:
            item.to_engine()  # a picture that is none is an error of the request
        return self

    @property
    def items(self) -> list[Item]:
        """The input of this request alone. A plain text is one message of the user."""
        if isinstance(self.input, str):
            return [InputMessage(role="user", content=self.input)]
        return self.input

    def toolbox(self) -> Toolbox | None:
        """None when nothing may be called. Raises `Invalid` as `make_toolbox` does."""
        choice = self.tool_choice
        name = choice.name if isinstance(choice, NamedTool) else None
        how = None if isinstance(choice, NamedTool) else choice
        return make_toolbox(list(self.tools), how, name, self.parallel_tool_calls)

    def to_engine(self, items: list[Item]) -> ChatRequest:
        """`items` is the whole conversation; instructions are of this request alone."""
        messages = [item.to_engine() for item in items]
        if self.instructions:
            messages.insert(0, ChatMessage("system", self.instructions))
        wanted = self.text.format
        form = ResponseFormat(
            type=wanted.type, json_schema=wanted if wanted.type == "json_schema" else None
        )
        return ChatRequest(
            model=self.model,
            messages=tuple(messages),
            max_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            schema=form.schema_or_none(),
        )
