"""Typed inputs of an automation: what a run must be given, and what it gets by itself."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from autobot.errors import Invalid
from autobot.schemas.json_schema import Budget, checked

InputType = Literal["string", "integer", "number", "boolean", "array", "object"]
Format = Literal["date", "date-time", "email", "uri", "password"]


class Input(BaseModel, frozen=True, extra="forbid"):
    """One input: a part of JSON Schema. Without ``default`` it must be given."""

    type: InputType
    title: str | None = Field(default=None, max_length=100)
    description: str | None = Field(default=None, max_length=1_000)
    default: JsonValue = None
    enum: tuple[JsonValue, ...] | None = Field(default=None, min_length=1, max_length=200)
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = Field(default=None, alias="minLength", ge=0)
    max_length: int | None = Field(default=None, alias="maxLength", ge=0)
    pattern: str | None = Field(default=None, max_length=1_000)
    format: Format | None = Field(default=None, description="password is for the form: not shown")
    items: dict[str, Any] | None = Field(default=None, description="A JSON Schema, for an array")
    properties: dict[str, Any] | None = Field(
        default=None, description="JSON Schemas by name, for an object"
    )

    @property
    def required(self) -> bool:
        """Whether a run cannot start without a value."""
        return "default" not in self.model_fields_set

    @model_serializer(mode="wrap")
    def _keep_null(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A default of null is no default left out."""
        return write(self) | ({} if self.required else {"default": self.default})


def form(inputs: Mapping[str, Input]) -> dict[str, Any]:
    """Return the JSON Schema of all inputs: for a form, and for a tool's arguments."""
    return {
        "type": "object",
        "properties": {
            name: one.model_dump(mode="json", by_alias=True, exclude_none=True)
            for name, one in inputs.items()
        },
        "required": [name for name, one in inputs.items() if one.required],
        "additionalProperties": False,
    }


def fill_in(inputs: Mapping[str, Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every input: what is given, else the default.

    Nothing is converted: ``"1"`` is no integer, 1.0 is one. Raises `Invalid`, whose ``param`` is
    the first input that is wrong; its text names them all.
    """
    mistakes: dict[str, str] = {
        name: "there is no such input; there are " + (", ".join(inputs) or "none")
        for name in given
        if name not in inputs
    }
    values: dict[str, Any] = {}
    for name, one in inputs.items():
        if name in given:
            values[name] = given[name]
            if mistake := value_mistake(one, given[name]):
                mistakes[name] = mistake
        elif one.required:
            mistakes[name] = "a value is needed"
        else:
            values[name] = one.default
    if mistakes:
        text = "; ".join(f"inputs.{name[:64]}: {mistake}" for name, mistake in mistakes.items())
        raise Invalid(text).of(next(iter(mistakes))[:64])
    return values


def value_mistake(one: Input, value: Any, budget: Budget | None = None) -> str:
    """Say why the value is none for this input, or nothing. Raises `Invalid` where the input
    itself is no schema, or ``budget`` does not suffice to read it."""
    schema = one.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"default", "title", "description"}
    )
    # A default of null stays null although the type has none: the input is left open.
    if value is None and not one.required and one.default is None:
        return ""
    schema.pop("default", None)
    return checked(schema, "the input", budget).fault(value).removeprefix("the object: ")
