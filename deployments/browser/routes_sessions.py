"""`/api/browser/sessions`: open, inspect, extend and close them, and act in them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request, Response

from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.hangup import unless_hung_up
from deployments.browser.actions import ACTIONS, Action
from deployments.browser.routes import answer, responses, scope_of
from deployments.browser.schemas import Extension, NewSession
from deployments.browser.sessions import Sessions

Owner = Annotated[KeyRecord, Depends(require("browser"))]


def session_routes(sessions: Sessions) -> APIRouter:
    router = APIRouter(prefix="/sessions")

    @router.post("", status_code=201, responses=responses("application/json"))
    async def open_session(request: Request, key: Owner, body: NewSession) -> dict[str, Any]:
        """Open a session: a browser context that shares nothing with any other."""
        record = await unless_hung_up(request, sessions.open(key.id, body))
        return record.describe()

    @router.get("")
    async def list_sessions(key: Owner) -> dict[str, Any]:
        """Return this key's open sessions."""
        return {"sessions": [record.describe() for record in sessions.all(key.id)]}

    @router.get("/{session}", responses=responses("application/json"))
    async def inspect_session(key: Owner, session: str) -> dict[str, Any]:
        """Return a session's tabs, downloads, dialogs, blocked addresses and limits."""
        return sessions.find(key.id, session).describe()

    @router.patch("/{session}", responses=responses("application/json"))
    async def extend_session(key: Owner, session: str, body: Extension) -> dict[str, Any]:
        """Give a session new limits."""
        record = sessions.find(key.id, session)
        record.extend(body)
        return record.describe()

    @router.delete("/{session}", status_code=204, responses=responses())
    async def close_session(key: Owner, session: str) -> None:
        """Close a session; its cookies, storage, downloads and recordings are gone."""
        await sessions.end(key.id, session)

    @router.get("/{session}/storage", responses=responses("application/json"))
    async def storage_state(key: Owner, session: str) -> dict[str, Any]:
        """Return cookies and local storage, to open another session with."""
        return await sessions.find(key.id, session).session.storage()

    @router.get("/{session}/downloads/{number}", responses=responses("application/octet-stream"))
    async def session_download(key: Owner, session: str, number: int) -> Response:
        """Return a file the session has downloaded."""
        return answer(await sessions.find(key.id, session).session.download(number))

    @router.get("/{session}/recordings/{kind}", responses=responses("application/zip"))
    async def recording(key: Owner, session: str, kind: Literal["trace", "video"]) -> Response:
        """Return what was recorded since the last call: a Playwright trace, or WebM."""
        return answer(await sessions.find(key.id, session).session.recording(kind))

    for kind in ACTIONS:
        router.add_api_route(
            f"/{{session}}/{kind.name}",
            _act(sessions, kind),
            methods=["POST"],
            name=f"session_{kind.name}",
            description=kind.__doc__,
            responses=responses(*kind.media_types),
            response_class=Response,
            dependencies=scope_of(kind),
        )
    return router


def _act(sessions: Sessions, kind: type[Action]) -> Callable[..., Awaitable[Response]]:
    async def act(request: Request, key: Owner, session: str, body: Action) -> Response:
        return answer(await unless_hung_up(request, sessions.act(key.id, session, body)))

    act.__annotations__["body"] = Annotated[kind, Body()]
    return act
