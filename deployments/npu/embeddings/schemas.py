"""What room npu's endpoints take and give."""

import base64
import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, field_validator

from deployments.npu.batching.batcher import Vector
from deployments.npu.ocr.service import Reading

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


class OcrLine(BaseModel):
    text: str
    confidence: float = Field(ge=0, le=1)
    box: list[tuple[float, float]] = Field(
        min_length=4, max_length=4, description="Corners in pixels, clockwise from the top left."
    )
    page: int = Field(description="Which page of the file it is on, from 1.")


class OcrPage(BaseModel):
    """A page that was read; its size is that of the upright image."""

    page: int
    width: int
    height: int


class OcrAnswer(BaseModel):
    """What an image says, and where it was read. Sizes are those of the first page read."""

    text: str = Field(description="All lines in reading order, page after page.")
    lines: list[OcrLine]
    width: int
    height: int
    pages: int = Field(description="Of the file; 1 for an image.")
    read: list[OcrPage] = Field(description="The pages this answer is about.")
    model: str
    engine: str
    device: str = Field(description="What OpenVINO says executed the models.")
    milliseconds: float = Field(description="Decoding and reading, without waiting in line.")

    @classmethod
    def of(cls, reading: Reading, engine: str) -> "OcrAnswer":
        numbered = list(enumerate(reading.pages, reading.first))
        first = reading.pages[0]
        return cls(
            text=reading.text,
            lines=[
                OcrLine(text=line.text, confidence=line.confidence, box=list(line.box), page=number)
                for number, page in numbered
                for line in page.lines
            ],
            width=first.width,
            height=first.height,
            pages=first.pages,
            read=[OcrPage(page=n, width=page.width, height=page.height) for n, page in numbered],
            model=reading.model,
            engine=engine,
            device=reading.device,
            milliseconds=reading.milliseconds,
        )


def encode_base64(vector: Vector) -> str:
    """Return the vector as OpenAI's clients decode it: float32, little-endian."""
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
