"""Secrets as the API shows them: never with their values."""

from datetime import datetime

from pydantic import BaseModel, Field


class SecretDetail(BaseModel):
    """A secret without its value, which no route returns."""

    name: str
    created: datetime
    changed: datetime
    by: str = Field(description="The id of the API key that set it last.")
    readable: bool = Field(
        description="False: it was sealed under another key, or comes from a backup. Steps that "
        "use it fail until it is set again."
    )
