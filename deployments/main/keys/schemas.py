"""Keys as the API shows them."""

from pydantic import BaseModel, Field


class KeyInfo(BaseModel):
    """A key without what could be used to forge it."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None
    allow_domains: tuple[str, ...] = Field(description="Empty: its pages reach any domain.")
    deny_domains: tuple[str, ...]


class ChangedKey(KeyInfo):
    """A key that was made or revoked."""

    unconfirmed: list[str] = Field(
        description="Who has not said yet that it knows of the change; it will within ten seconds "
        "of reaching room redis. Empty: it holds everywhere.",
    )


class CreatedKey(ChangedKey):
    """``key`` is shown this once; only its hash is stored."""

    key: str
