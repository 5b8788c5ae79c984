"""What `http.get` and `http.request` are given, and what they return."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from autobot.tools.tool import Arguments, File

Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
SAFE: frozenset[Method] = frozenset(("GET", "HEAD", "OPTIONS"))
LONGEST_S = 300.0
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
VALUE = re.compile(r"[\t\x20-\x7e]{0,8000}")
OURS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers that say how a request travels, or to whom."""

Scalar = str | bool | int | float
Texts = Annotated[dict[str, Scalar | list[Scalar]], Field(max_length=256)]
BODIES = ("json", "text", "form", "file")


class Get(Arguments):
    """An address to read."""

    url: str = Field(min_length=1, max_length=8192, description="http or https.")
    headers: dict[str, str] = Field(default={}, max_length=64)
    query: Texts = Field(
        default={}, description="Added to the URL's own; a list is one parameter several times."
    )
    timeout_s: float = Field(default=60, ge=0.5, le=LONGEST_S, description="For the whole request.")
    follow_redirects: bool = Field(
        default=True,
        description="Another site gets none of `headers` but Accept ones, and never the body.",
    )
    fail_on_status: bool = Field(
        default=True, description="Whether an answer of 400 or more is an error of the step."
    )

    @field_validator("headers")
    @classmethod
    def _headers_are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
                raise ValueError(f"{name[:100]!r} is no header of printable ASCII")
            if name.lower() in OURS or name.lower().startswith("proxy-"):
                raise ValueError(f"the header {name} is not the caller's to set")
        return headers


class Request(Get):
    """A request, with at most one body."""

    method: Method = "GET"
    json_: Any = Field(default=None, alias="json", description="A body: any value, null too.")
    text: str | None = Field(default=None, max_length=8 << 20, description="A body in UTF-8.")
    form: Texts | None = Field(default=None, description="A body as of an HTML form.")
    file: File | None = Field(
        default=None, description="A body as other tools give it: `media_type` and `content`."
    )

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if len(self.bodies) > 1:
            raise ValueError(f"give one of {', '.join(BODIES)}")
        if self.bodies and self.method in ("GET", "HEAD"):
            raise ValueError(f"{self.method} has no body")
        return self

    @property
    def bodies(self) -> list[str]:
        """The names of those that are given."""
        given = [name for name in ("text", "form", "file") if getattr(self, name) is not None]
        return given + ["json"] * ("json_" in self.model_fields_set)


class Answer(BaseModel):
    """What came. ``json``, ``text`` and ``file``: the body as the first of these that it can be."""

    url: str = Field(description="After redirects; without a password.")
    status: int
    headers: dict[str, str] = Field(
        description="Names in small letters; one that came several times is joined by commas."
    )
    json_: Any = Field(None, serialization_alias="json")
    text: str | None = None
    file: File | None = None
