"""Stored responses, which room redis keeps: all VMs of this room find them, and backups have them.

They belong to the API key that made them; another key is told there is no such response. The oldest
leave when a key has a thousand, or 64 MiB of them, and each after thirty days.
"""

import json
from dataclasses import dataclass
from typing import Any

from autobot.contracts.responses import Responses
from autobot.errors import Conflict, NotFound, TooLarge


@dataclass(frozen=True, slots=True)
class Stored:
    """`items` is everything said before this response, as it was sent; `response` the object."""

    items: list[dict[str, Any]]
    response: dict[str, Any]


class ResponseStore:
    """Safe to use from many tasks, replicas and VMs."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    async def reach(self) -> None:
        """Raises `Unavailable` while room redis does not answer: before an answer is made, which
        takes long, and not after."""
        await self._responses.get("", "")

    async def put(self, owner: str, stored: Stored) -> None:
        """Return when it is durable. Raises `TooLarge`, and `Conflict` for a revoked key."""
        text = json.dumps({"items": stored.items, "response": stored.response})
        outcome = await self._responses.put(owner, stored.response["id"], text)
        if outcome == "large":
            raise TooLarge(
                f"With all that was said before it this response has {len(text)} characters, more "
                "than is stored; `store: false` answers without keeping it."
            )
        if outcome == "lost":
            raise Conflict("The API key was revoked while this was answered.")

    async def get(self, owner: str, name: str) -> Stored:
        """Raises `NotFound` for one that is not there, or another key's."""
        text = await self._responses.get(owner, name)
        if text is None:
            raise NotFound(f"There is no response '{name}'.")
        return Stored(**json.loads(text))

    async def delete(self, owner: str, name: str) -> None:
        """Raises `NotFound` for one that is not there, or another key's."""
        if not await self._responses.delete(owner, name):
            raise NotFound(f"There is no response '{name}'.")
