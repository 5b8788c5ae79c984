"""Typed inputs of an automation."""

from typing import Any, Literal

from pydantic import BaseModel, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

InputType = Literal["string", "integer", "number", "boolean", "array", "object"]


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
    format: Literal["date", "date-time", "email", "uri", "password"] | None = None
    items: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None

    @property
    def required(self) -> bool:
        """Whether a run cannot start without a value."""
        return "default" not in self.model_fields_set

    @model_serializer(mode="wrap")
    def _keep_null(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A default of null is no default left out."""
        return write(self) | ({} if self.required else {"default": self.default})
