"""What callers of room browser send: a page for one action, or the making of a session."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

from autobot.errors import Invalid
from deployments.browser.actions import ONE_SHOT, Action, WaitUntil
from deployments.browser.egress.policy import Domains, listed_domain
from deployments.browser.engine import Page, SessionSpec

MAX_HTML = 8 << 20
Domain = Annotated[str, Field(min_length=1, max_length=253)]

ProfileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class PageRequest(Action):
    """A page by address or by content: exactly one of `url` and `html`."""

    url: str | None = Field(
        default=None, min_length=1, max_length=8192, description="http or https."
    )
    html: str | None = Field(default=None, max_length=MAX_HTML, description="The page itself.")
    width: int = Field(default=1280, ge=16, le=3840, description="Viewport width in CSS pixels.")
    height: int = Field(default=720, ge=16, le=2160, description="Viewport height in CSS pixels.")
    wait_until: WaitUntil = Field(default="load", description="When the page counts as ready.")
    timeout_s: float = Field(
        default=30, ge=0.5, le=120, description="Deadline, waiting in line included."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.url is None) == (self.html is None):
            raise ValueError("give exactly one of `url` and `html`")
        return self

    def page(self, owner: str, key_domains: Domains) -> Page:
        """Return the page to open for the API key ``owner``, which keeps to ``key_domains``."""
        size = self.width, self.height
        return Page(self.url, self.html, *size, self.wait_until, self.timeout_s, key_domains, owner)

    def action(self, kind: type[Action]) -> Action:
        """Return the part of this request that is ``kind``."""
        given = {name: getattr(self, name) for name in kind.model_fields}
        return kind.model_construct(**given)


def one_shot(kind: type[Action]) -> type[PageRequest]:
    """Return the request of ``kind`` on a page of its own: the fields of both."""
    request: Any = create_model(f"{kind.__name__}Request", __base__=(PageRequest, kind))
    request.__doc__ = kind.__doc__
    return request


REQUESTS = {kind: one_shot(kind) for kind in ONE_SHOT}


class Limits(BaseModel):
    """When a session ends by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    idle_s: float = Field(default=300, ge=1, le=86_400, description="Seconds without a request.")
    lifetime_s: float = Field(default=3600, ge=1, le=86_400, description="Seconds from now.")


class Extension(BaseModel):
    """New limits; what is left out stays. ``lifetime_s`` counts from now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    idle_s: float | None = Field(default=None, ge=1, le=86_400)
    lifetime_s: float | None = Field(default=None, ge=1, le=86_400)


class NewSession(Limits):
    """A browser context of one's own, empty or with the ``storage`` another one gave."""

    width: int = Field(default=1280, ge=16, le=3840, description="Viewport width in CSS pixels.")
    height: int = Field(default=720, ge=16, le=2160, description="Viewport height in CSS pixels.")
    locale: str | None = Field(default=None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    timezone: str | None = Field(default=None, pattern=r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$")
    user_agent: str | None = Field(default=None, min_length=1, max_length=512)
    storage: dict[str, Any] | None = Field(
        default=None, description="Cookies and local storage, as `GET .../storage` returns them."
    )
    profile: ProfileName | None = Field(
        default=None,
        description="Begin with what this profile holds, and save into it at the end; one session "
        "at a time may.",
    )
    dialogs: Literal["accept", "dismiss"] = Field(default="dismiss", description="Their answer.")
    allow: list[Domain] = Field(
        default_factory=list,
        max_length=256,
        fail_fast=True,
        description="Only these domains and subdomains.",
    )
    deny: list[Domain] = Field(
        default_factory=list, max_length=256, fail_fast=True, description="Never these."
    )
    trace: bool = Field(default=False, description="Record a Playwright trace.")
    video: bool = Field(default=False, description="Record a film of the screen.")
    queue_s: float = Field(default=10, ge=0, le=60, description="How long to wait for a place.")

    @model_validator(mode="after")
    def _one_storage(self) -> Self:
        if self.storage is not None and self.profile is not None:
            raise ValueError("give one of `storage` and `profile`, not both")
        return self

    @field_validator("allow", "deny")
    @classmethod
    def _domains(cls, given: list[str]) -> list[str]:
        try:
            return [listed_domain(domain) for domain in given]
        except Invalid as error:
            raise ValueError(error.detail) from error

    def spec(self, owner: str, key_domains: Domains, storage: dict[str, Any] | None) -> SessionSpec:
        """Return what to open for the key ``owner``, beginning with ``storage``."""
        return SessionSpec(
            owner=owner,
            width=self.width,
            height=self.height,
            locale=self.locale,
            timezone=self.timezone,
            user_agent=self.user_agent,
            storage=storage,
            dialogs=self.dialogs,
            domains=Domains(tuple(self.allow), tuple(self.deny)),
            key_domains=key_domains,
            trace=self.trace,
            video=self.video,
        )
