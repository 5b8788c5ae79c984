"""What the embeddings endpoint takes and gives."""

import base64
import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, field_validator

from deployments.npu.batching.batcher import Vector

MAX_TEXTS = 2048


def _unicode(text: str) -> str:
    text.encode()  # raises a ValueError
    return text


Text = Annotated[str, AfterValidator(_unicode)]
"""JSON can say half a surrogate pair: it is in no vocabulary, and cannot be sent back."""


class EmbeddingRequest(BaseModel):
    """OpenAI's request. ``user`` is accepted and not used."""

    input: (
        Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]
    ) = Field(description=f"A text, or up to {MAX_TEXTS} of them.")
    model: Text = Field("default", description="`default`, or the name of an embedding model.")
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="`base64`: float32 numbers, little-endian."
    )
    dimensions: int | None = Field(
        None, ge=1, description="Must be the model's own: its vectors cannot be shortened."
    )
    user: str | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _no_token_ids(cls, value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], int | list):
            raise ValueError("token ids of another tokenizer mean nothing here: send the text")
        return value

    @property
    def texts(self) -> list[str]:
        """The texts in the order of the request. A single one is a list of one."""
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Of length one; base64 when asked for.")


class Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """OpenAI's answer; ``model`` is the real name of the model that made the vectors."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


def encode_base64(vector: Vector) -> str:
    """Return the vector as OpenAI's clients decode it: float32, little-endian."""
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
