"""What callers of room browser send."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deployments.browser.engine import (
    ImageFormat,
    Page,
    Paper,
    PdfJob,
    ScreenshotJob,
    WaitUntil,
)

MAX_HTML = 8 << 20


class PageRequest(BaseModel):
    """A page by address or by content: exactly one of `url` and `html`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, min_length=1, max_length=8192, description="http or https.")
    html: str | None = Field(None, max_length=MAX_HTML, description="The page itself.")
    width: int = Field(1280, ge=16, le=3840, description="Viewport width in CSS pixels.")
    height: int = Field(720, ge=16, le=2160, description="Viewport height in CSS pixels.")
    wait_until: WaitUntil = Field("load", description="When the page counts as ready.")
    timeout_s: float = Field(30, ge=0.5, le=120, description="Deadline, waiting in line included.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.url is None) == (self.html is None):
            raise ValueError("give exactly one of `url` and `html`")
        return self

    def page(self) -> Page:
        return Page(self.url, self.html, self.width, self.height, self.wait_until, self.timeout_s)


class ScreenshotRequest(PageRequest):
    """A picture of a page."""

    full_page: bool = Field(False, description="The whole page instead of the viewport.")
    format: ImageFormat = Field("png", description="png or jpeg.")

    def job(self) -> ScreenshotJob:
        return ScreenshotJob(self.page(), self.full_page, self.format)


class PdfRequest(PageRequest):
    """A page as printed."""

    paper: Paper = Field("A4", description="Paper size.")
    landscape: bool = Field(False, description="Landscape instead of portrait.")

    def job(self) -> PdfJob:
        return PdfJob(self.page(), self.paper, self.landscape)
