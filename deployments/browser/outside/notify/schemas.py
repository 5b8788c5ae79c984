"""What `notify` is given, and what it returns."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from autobot.tools.tool import Arguments

Url = Annotated[str, Field(min_length=4, max_length=2000)]


class Notification(Arguments):
    """A message, and where it goes."""

    to: Url | Annotated[list[Url], Field(min_length=1, max_length=20)] = Field(
        description="Addresses in Apprise's form, such as mailtos://USER:PASSWORD@HOST?to=ANN@HOST."
    )
    title: str = Field(default="", max_length=1000)
    body: str = Field(min_length=1, max_length=100_000)
    format: Literal["text", "markdown", "html"] = Field(
        default="text", description="What `body` is; it is converted where a service wants another."
    )

    @property
    def urls(self) -> list[str]:
        """The addresses."""
        return [self.to] if isinstance(self.to, str) else self.to


class Delivery(BaseModel):
    """What became of the message at one address. ``reason``: why it was not taken."""

    service: str = Field(description="For example JSON or E-Mail; never a part of the address.")
    taken: bool
    reason: str | None = None


class Deliveries(BaseModel):
    """In the order of ``to``. At least one was taken."""

    deliveries: list[Delivery]
