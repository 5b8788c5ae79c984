"""What can be done on a page: one model an action, the same one-shot and in a session.

Times are seconds and include waiting for the element; sizes are CSS pixels. The answer of an action
is a `Rendered`: a picture, a document, or JSON.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator

WaitUntil = Literal["commit", "domcontentloaded", "load", "networkidle"]
ImageFormat = Literal["png", "jpeg", "webp"]
Paper = Literal["A3", "A4", "A5", "Legal", "Letter"]
Button = Literal["left", "right", "middle"]
Text = Annotated[str, Field(max_length=200_000)]
Short = Annotated[str, Field(min_length=1, max_length=2000)]


class Action(BaseModel):
    """Something to do on a page within ``timeout_s``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    media_types: ClassVar[tuple[str, ...]] = ("application/json",)

    timeout_s: float = Field(default=30, ge=0.5, le=120, description="Deadline.")
    tab: int | None = Field(default=None, ge=0, le=63, description="Which tab; the newest used.")


class Element(BaseModel):
    """An element, named in one way: ``ref`` of the last snapshot, ``selector``, or ``role``."""

    ref: str | None = Field(default=None, pattern=r"^(f\d+)?e\d+$", description="From `snapshot`.")
    selector: Short | None = Field(default=None, description="CSS, or a Playwright selector.")
    role: str | None = Field(default=None, pattern=r"^[a-z]{2,30}$", description="ARIA role.")
    label: Short | None = Field(default=None, description="The accessible name, with `role`.")

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        given = [way for way in (self.ref, self.selector, self.role) if way is not None]
        if len(given) > 1:
            raise ValueError("give only one of `ref`, `selector` and `role`")
        if self.label is not None and self.role is None:
            raise ValueError("`label` goes with `role`")
        return self

    def named(self) -> bool:
        """Whether it names an element; without one an action is about the page or the focus."""
        return bool(self.ref or self.selector or self.role)


class OneElement(Element):
    """Exactly one element."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if not self.named():
            raise ValueError("name the element: `ref`, `selector` or `role`")
        return self


class Screenshot(Action, Element):
    """A picture of the viewport, of the whole page, or of one element."""

    name = "screenshot"
    media_types = ("image/png", "image/jpeg", "image/webp")
    full_page: bool = Field(default=False, description="The whole page instead of the viewport.")
    format: ImageFormat = Field(default="png", description="png, jpeg or webp.")
    quality: int | None = Field(default=None, ge=1, le=100, description="jpeg and webp only.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.quality is not None and self.format == "png":
            raise ValueError("`quality` is for jpeg and webp")
        if self.full_page and self.named():
            raise ValueError("`full_page` and an element exclude each other")
        return self


class Pdf(Action):
    """The page as printed."""

    name = "pdf"
    media_types = ("application/pdf",)
    paper: Paper = Field(default="A4", description="Paper size.")
    landscape: bool = Field(default=False, description="Landscape instead of portrait.")


class Content(Action):
    """The page's HTML as it is now, scripts having run."""

    name = "content"
    media_types = ("text/html",)


class Markdown(Action):
    """The page as Markdown: its main content, or all of it."""

    name = "markdown"
    media_types = ("text/markdown",)
    whole: bool = Field(default=False, description="Menus and footers too.")
    links: bool = Field(default=True, description="Keep links.")


class Wanted(Element):
    """One value to extract. Without an element it is the page's, or the row's, own text."""

    attribute: str | None = Field(default=None, pattern=r"^[\w:.-]{1,64}$")
    every: bool = Field(default=False, description="All matches as a list instead of the first.")


class Extract(Action):
    """Values by selector: ``fields`` of the page, or of each of ``rows``."""

    name = "extract"
    fields: dict[str, Wanted] = Field(min_length=1, max_length=64, fail_fast=True)
    rows: Short | None = Field(default=None, description="Selector of repeating elements.")
    limit: int = Field(default=100, ge=1, le=1000, description="Most rows or list entries.")


class Goto(Action):
    """Open an address, or go back, forward, or load again."""

    name = "goto"
    url: str | None = Field(default=None, min_length=1, max_length=8192)
    history: Literal["back", "forward", "reload"] | None = None
    wait_until: WaitUntil = Field(default="load", description="When the page counts as ready.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.history is None):
            raise ValueError("give exactly one of `url` and `history`")
        return self


class Click(Action, OneElement):
    """Click an element once it can be clicked."""

    name = "click"
    button: Button = "left"
    count: int = Field(default=1, ge=1, le=3, description="2 is a double click.")


class Type(Action, Element):
    """Fill a field with ``text``, or type into whatever has the focus; then press ``press``."""

    name = "type"
    text: Text = ""
    slowly: bool = Field(default=False, description="Key by key instead of at once.")
    press: str | None = Field(default=None, max_length=40, description="For example Enter.")


class Select(Action, OneElement):
    """Choose options of a list by value or label; tick a checkbox with ``checked``."""

    name = "select"
    values: list[Short] = Field(default_factory=list, max_length=64, fail_fast=True)
    checked: bool | None = None


class Scroll(Action, Element):
    """Scroll an element into view, or the page by pixels."""

    name = "scroll"
    x: int = Field(default=0, ge=-100_000, le=100_000)
    y: int = Field(default=0, ge=-100_000, le=100_000)


class Wait(Action, Element):
    """Wait for an element, a text, an address, a page state, or some seconds; and with `tab` first
    for that tab to open, as one that a click opens does after the click.
    """

    name = "wait"
    state: Literal["visible", "hidden", "attached", "detached"] = "visible"
    text: Short | None = None
    url: Short | None = Field(default=None, description="A glob such as **/done.")
    load: WaitUntil | None = None
    seconds: float | None = Field(default=None, gt=0, le=60)


class Evaluate(Action):
    """Run a JavaScript expression or function in the page and return its JSON value."""

    name = "evaluate"
    expression: Annotated[str, Field(min_length=1, max_length=100_000)]
    argument: Any = None


class UploadedFile(BaseModel):
    """A file to upload, in base64."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    filename: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\\\x00]+$")]
    content: Base64Bytes
    media_type: str = Field(default="application/octet-stream", max_length=127)


class Upload(Action, OneElement):
    """Put files into a file field, or into the chooser that clicking the element opens."""

    name = "upload"
    files: list[UploadedFile] = Field(min_length=1, max_length=16)


class Download(Action, Element):
    """Fetch what clicking an element, or opening ``link``, downloads; the file comes back."""

    name = "download"
    media_types = ("application/octet-stream",)
    link: str | None = Field(default=None, min_length=1, max_length=8192)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.link is None) != self.named():
            raise ValueError("give exactly one of `link` and an element")
        return self


class Snapshot(Action, Element):
    """The page as an ARIA tree with references, within ``tokens`` (about four letters each)."""

    name = "snapshot"
    tokens: int = Field(default=2000, ge=100, le=50_000, description="Budget.")
    diff: bool = Field(default=False, description="Only what changed since the last snapshot.")


ACTIONS: tuple[type[Action], ...] = (
    Screenshot, Pdf, Content, Markdown, Extract, Goto, Click, Type, Select,
    Scroll, Wait, Evaluate, Upload, Download, Snapshot,
)  # fmt: skip
# What makes sense on a page that exists for one request only.
ONE_SHOT: tuple[type[Action], ...] = (
    Screenshot, Pdf, Content, Markdown, Extract, Evaluate, Download, Snapshot,
)  # fmt: skip
