"""`/api/browser/sessions`: open, inspect, extend and close them, and act in them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request, Response

from autobot.contracts.profiles import Profiles
from autobot.web.disconnect import unless_disconnected
from deployments.browser.actions import ACTIONS, Action
from deployments.browser.pages.api import (
    Owner,
    answer,
    domains_of_key,
    problems,
    responses,
    scope_of,
)
from deployments.browser.pages.schemas import Extension, NewSession
from deployments.browser.profiles.api import profile_of
from deployments.browser.sessions.schemas import SessionInfo, SessionList
from deployments.browser.sessions.service import Sessions


def session_routes(sessions: Sessions, profiles: Profiles) -> APIRouter:
    """Return the routes of ``sessions``, whose named profiles are kept in ``profiles``."""
    router = APIRouter(prefix="/sessions")

    @router.post("", status_code=201, responses=problems())
    async def open_session(request: Request, key: Owner, body: NewSession) -> SessionInfo:
        """Open a session: a browser context that shares nothing with any other."""
        profile = profile_of(request, key, body, profiles)
        opening = sessions.open(key.id, body, domains_of_key(key), profile)
        record = await unless_disconnected(request, opening)
        return SessionInfo.model_validate(record.describe())

    @router.get("")
    async def list_sessions(key: Owner) -> SessionList:
        """Return this key's open sessions, and in `unreachable` the room's VMs whose own are
        missing here.
        """
        mine = [SessionInfo.model_validate(one.describe()) for one in sessions.all(key.id)]
        return SessionList(sessions=mine, unreachable=[])

    @router.get("/{session}", responses=problems())
    async def inspect_session(key: Owner, session: str) -> SessionInfo:
        """Return a session's tabs, downloads, dialogs, blocked addresses and limits."""
        return SessionInfo.model_validate(sessions.find(key.id, session).describe())

    @router.patch("/{session}", responses=problems())
    async def extend_session(key: Owner, session: str, body: Extension) -> SessionInfo:
        """Give a session new limits."""
        record = sessions.find(key.id, session)
        record.extend(body)
        return SessionInfo.model_validate(record.describe())

    @router.delete("/{session}", status_code=204, responses=responses())
    async def close_session(key: Owner, session: str, save: bool = True) -> None:
        """Close a session; its downloads and recordings are gone, and its cookies and storage
        unless it has a profile to `save`.
        """
        await sessions.end(key.id, session, save=save)

    @router.post("/{session}/profile", responses=responses("application/json"))
    async def save_profile(key: Owner, session: str) -> dict[str, Any]:
        """Save the session's profile now; return its name and how many bytes it takes."""
        return await sessions.save(key.id, session)

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
        return answer(await unless_disconnected(request, sessions.act(key.id, session, body)))

    act.__annotations__["body"] = Annotated[kind, Body()]
    return act
