"""What the OCR endpoint gives."""

from pydantic import BaseModel, Field

from deployments.npu.ocr.service import Reading


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
        """Number the pages as the file does. ``width`` and ``height`` are the first page's."""
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
