"""`/api/keys`: made, listed and revoked, by keys of scope `admin`."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request

from autobot.contracts.keys import Keys
from autobot.errors import NotFound, Unavailable
from autobot.keys import KeyRecord, NewKey, make_key
from autobot.web.auth import outlive_key, require
from deployments.main.keys.schemas import ChangedKey, CreatedKey, KeyInfo

Spread = Callable[[], Awaitable[list[str]]]
"""Tells every replica that keys have changed; names what has not taken the change. Never raises."""


def key_routes(keys: Keys, spread: Spread) -> APIRouter:
    """``spread`` is called after each change. Every route needs a key of scope `admin`."""
    router = APIRouter(prefix="/api/keys", tags=["keys"], dependencies=[Depends(require("admin"))])

    @router.get("")
    async def list_keys() -> list[KeyInfo]:
        """Every key there is, without its secret, which nobody has but who was given it."""
        return [KeyInfo(**_public(record)) for record in await keys.records()]

    @router.post("", status_code=201)
    async def create_key(request: NewKey) -> CreatedKey:
        """Make a key. It is valid everywhere when this answers, but where ``unconfirmed`` says."""
        key, record = make_key(request)
        try:
            await keys.add(record)
        except Unavailable:
            await _forget(keys, record)
            raise
        unconfirmed = await spread()
        return CreatedKey(key=key, unconfirmed=unconfirmed, **_public(record))

    @router.delete("/{key_id}")
    async def revoke_key(request: Request, key_id: str) -> ChangedKey:
        """Remove a key with its profiles and stored responses; its open streams end.

        After a 503 the key may be gone while some of what it stored is not: call it again.
        """
        outlive_key(request)  # a key may revoke itself
        try:
            revoked = await keys.revoke(key_id)
        except Unavailable:
            await spread()  # the key may be gone already
            raise
        return ChangedKey(unconfirmed=await spread(), **_public(revoked))

    return router


async def _forget(keys: Keys, record: KeyRecord) -> None:
    """A key that nobody was shown must not stay: the write may have been made before its end.

    Raises `Unavailable` with the key's id when that cannot be told.
    """
    try:
        await keys.revoke(record.id)
    except NotFound:
        return
    except Unavailable as error:
        raise Unavailable(
            f"{error.detail} Whether the key '{record.id}' was made is not known: if it is listed, "
            "revoke it. Nobody was shown it."
        ) from error


def _public(record: KeyRecord) -> dict[str, Any]:
    return KeyInfo.model_validate(record.model_dump()).model_dump()
