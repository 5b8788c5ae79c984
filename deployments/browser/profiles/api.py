"""`/api/browser/profiles`: what sessions keep under a name, one key's own."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.requests import HTTPConnection

from autobot.contracts.profiles import Profiles
from autobot.keys import KeyRecord
from autobot.web.auth import presented_key
from deployments.browser.pages.api import Owner, responses
from deployments.browser.pages.schemas import NewSession, ProfileName
from deployments.browser.profiles import service as profiles
from deployments.browser.profiles.service import Profile, Seal


def profile_of(
    connection: HTTPConnection, key: KeyRecord, new: NewSession, store: Profiles
) -> Profile | None:
    """Return the profile that ``new`` asks for, to be opened with the API key of its caller."""
    if new.profile is None:
        return None
    return Profile(key.id, new.profile, Seal(presented_key(connection) or ""), store)


def profile_routes(store: Profiles) -> APIRouter:
    """Return the routes that list and delete the profiles which ``store`` keeps of a key."""
    router = APIRouter(prefix="/profiles")

    @router.get("", responses=responses("application/json"))
    async def list_profiles(key: Owner) -> dict[str, Any]:
        """Return this key's profiles: name, size, when saved, and whether a session has it."""
        return {"profiles": [asdict(found) for found in await store.list(key.id)]}

    @router.delete("/{name}", status_code=204, responses=responses())
    async def delete_profile(key: Owner, name: ProfileName) -> None:
        """Forget a profile; 409 while a session has it."""
        await profiles.delete(store, key.id, name)

    return router
