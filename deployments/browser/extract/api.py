"""`extract` with `schema` instead of `fields`: filled by the model from the page's readable text.

These two routes stand in for the ones by selector, and hand on what is not theirs.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Self

from fastapi import APIRouter, Body, Request, Response
from pydantic import ConfigDict, Discriminator, Field, SecretStr, Tag, model_validator

from autobot.keys import KeyRecord
from autobot.web.auth import presented_key
from autobot.web.disconnect import unless_disconnected
from deployments.browser.actions import Action, Extract, Markdown
from deployments.browser.chat_model.model import Models
from deployments.browser.engine import Browser, Rendered, told
from deployments.browser.extract.caller_schema import checked
from deployments.browser.extract.fill import extract
from deployments.browser.pages.api import Owner, answer, domains_of_key, responses
from deployments.browser.pages.schemas import PageRequest, one_shot
from deployments.browser.sessions.service import Sessions

Get = Callable[[Action], Awaitable[Rendered]]


class ExtractSchema(Action):
    """A JSON object under `schema`, filled by the model from the page's readable text. Needs scope
    `llm`; the text is read to a bound of about 4,800 tokens.
    """

    name = "extract"
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)
    schema_: dict[str, Any] = Field(alias="schema", description="JSON schema of an object.")
    goal: str = Field(default="", max_length=2000, description="What is wanted, in words.")
    model: str = Field(default="default", min_length=1, max_length=256)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        checked(self.schema_)
        return self


ByFields, BySchema = one_shot(Extract), one_shot(ExtractSchema)


def extract_routes(browser: Browser, sessions: Sessions, models: Models) -> APIRouter:
    """Return both routes of `extract`; they have to come before the ones they stand in for."""
    router = APIRouter()
    options: dict[str, Any] = {
        "methods": ["POST"],
        "responses": responses("application/json"),
        "response_class": Response,
        "description": "Values by selector, or an object under a JSON schema filled by the model.",
    }

    async def once(request: Request, key: Owner, body: Any) -> Response:
        page = body.page(key.id, domains_of_key(key))

        async def get(action: Action) -> Rendered:
            return await browser.once(page, action)

        kind = Extract if isinstance(body, Extract) else ExtractSchema
        return answer(
            await unless_disconnected(request, _extract(models, request, key, body, kind, get))
        )

    once.__annotations__["body"] = _either(BySchema, ByFields)

    async def act(request: Request, key: Owner, session: str, body: Any) -> Response:
        async def get(action: Action) -> Rendered:
            return await sessions.act(key.id, session, action)

        return answer(
            await unless_disconnected(
                request, _extract(models, request, key, body, type(body), get)
            )
        )

    act.__annotations__["body"] = _either(ExtractSchema, Extract)
    router.add_api_route("/extract", once, name="browser_extract", **options)
    router.add_api_route("/sessions/{session}/extract", act, name="session_extract", **options)
    return router


def _either(by_schema: Any, by_fields: Any) -> Any:
    """One of the two, by whether there is a `schema`: errors are about the one that was meant."""

    def meant(body: Any) -> str:
        return "by_schema" if isinstance(body, dict) and "schema" in body else "by_fields"

    one: Any = Annotated[by_schema, Tag("by_schema")]
    other: Any = Annotated[by_fields, Tag("by_fields")]
    ways = one | other
    return Annotated[ways, Discriminator(meant), Body()]


async def _extract(
    models: Models, request: Request, key: KeyRecord, body: Any, kind: type[Action], get: Get
) -> Rendered:
    if kind is Extract:
        action = body.action(Extract) if isinstance(body, PageRequest) else body
        return await get(action)
    secret = presented_key(request)
    request.app.state.keys.check(secret, "llm")
    tab = body.tab
    text = await get(Markdown(tab=tab, links=False, timeout_s=body.timeout_s))
    wish = body.goal or "what the schema describes"
    model = models(body.model, SecretStr(secret or ""))
    try:
        found, tokens = await extract(model, text.body.decode(), body.schema_, wish)
    finally:
        await model.close()
    return told({"data": found, "usage": {"tokens": tokens}})


def without_extract(router: APIRouter) -> APIRouter:
    """Return ``router`` without its own routes of `extract`, so that each is documented once."""
    paths = ("/api/browser/extract", "/sessions/{session}/extract")
    router.routes[:] = [r for r in router.routes if getattr(r, "path", None) not in paths]
    return router
