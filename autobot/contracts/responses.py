"""Stored responses of room llm as room redis keeps them: text it does not read, each one key's own.

Kept there, every replica on every VM of room llm finds them and a backup has them. What becomes of
a call is a word and not an exception: see `Responses`.
"""

from collections.abc import Container
from typing import Literal, Protocol

MOST_RESPONSES = 1000
"""Of one API key; past it the oldest leave."""
MOST_CHARACTERS = 1 << 20
"""Of one stored response, with everything said before it."""
MOST_TOGETHER = 64 << 20
"""Bytes of all that one API key stores; past it the oldest leave. Full memory refuses everybody's
writes, those of new keys too."""
KEPT_S = 30 * 24 * 3600
"""Thirty days, as OpenAI keeps them."""

Outcome = Literal["ok", "large", "lost"]


class Responses(Protocol):
    """Responses by owner, an API key's id, and name. A write has reached the disk when it returns.

    ``large``: it has more than `MOST_CHARACTERS`. ``lost``: the owner is revoked.
    """

    async def put(self, owner: str, name: str, text: str) -> Outcome:
        """Keep ``text`` for `KEPT_S`, in place of any of that name; the oldest make room for it."""
        ...

    async def get(self, owner: str, name: str) -> str | None:
        """Return the text; None when it was never there, was deleted, or has left."""
        ...

    async def delete(self, owner: str, name: str) -> bool:
        """Return whether there was one."""
        ...


class FakeResponses:
    """`Responses` in memory. ``owners`` are the ids of the keys that there are."""

    def __init__(self, owners: Container[str]) -> None:
        self._owners = owners
        self._kept: dict[str, dict[str, str]] = {}

    async def put(self, owner: str, name: str, text: str) -> Outcome:
        if len(text) > MOST_CHARACTERS:
            return "large"
        if owner not in self._owners:
            return "lost"
        mine = self._kept.setdefault(owner, {})
        mine[name] = text
        while len(mine) > MOST_RESPONSES or (
            len(mine) > 1 and sum(len(one.encode()) for one in mine.values()) > MOST_TOGETHER
        ):
            del mine[next(iter(mine))]
        return "ok"

    async def get(self, owner: str, name: str) -> str | None:
        return self._kept.get(owner, {}).get(name)

    async def delete(self, owner: str, name: str) -> bool:
        return self._kept.get(owner, {}).pop(name, None) is not None

    def forget(self, owner: str) -> None:
        """Remove all of a revoked key's."""
        self._kept.pop(owner, None)
