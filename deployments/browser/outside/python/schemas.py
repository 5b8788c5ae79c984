"""What `python` is given, and what it returns."""

import keyword
from typing import Any

from pydantic import BaseModel, Field, field_validator

from autobot.tools.tool import Arguments


class Code(Arguments):
    """A program, and the variables that it begins with."""

    code: str = Field(
        min_length=1,
        max_length=100_000,
        description="Python; the value of its last expression is the result.",
    )
    inputs: dict[str, Any] = Field(
        default={}, max_length=100, description="Becomes variables of these names."
    )

    @field_validator("inputs")
    @classmethod
    def _names_are_variables(cls, inputs: dict[str, Any]) -> dict[str, Any]:
        for name in inputs:
            if not name.isidentifier() or keyword.iskeyword(name) or len(name) > 100:
                raise ValueError(f"{name[:100]!r} cannot be a variable's name")
        return inputs


class Computed(BaseModel):
    """``result`` is JSON: a tuple has become a list."""

    result: Any
    printed: str
