"""Browser profiles as room redis keeps them: sealed bytes it cannot read, and who may write them.

Room browser, whose VM has no Redis user, asks for them. A profile has one writer at a time, which
holds a lease. What becomes of a call is a word and not an exception: see `Profiles`.
"""

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

MOST_PROFILES = 32
"""Of one API key."""
MOST_BYTES = 2 << 20
"""Of one sealed profile."""

Outcome = Literal["ok", "held", "full", "large", "lost", "none"]


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """``saved`` in Unix seconds, ``bytes`` sealed; ``in_use`` by a session now."""

    name: str
    saved: float
    bytes: int
    in_use: bool


class Profiles(Protocol):
    """Profiles by owner, an API key's id, and name. A write has reached the disk when it returns.

    ``held``: another writer has the lease. ``lost``: this one has it no longer, or the owner is
    revoked. ``full`` and ``large``: there are `MOST_PROFILES`, it has more than `MOST_BYTES`.
    ``none``: there is no such profile.
    """

    async def take(
        self, owner: str, name: str, token: str, lease_s: float
    ) -> tuple[Outcome, bytes | None]:
        """Lease a profile to ``token``; return what is in it, None for a new one."""
        ...

    async def renew(self, owner: str, name: str, token: str, lease_s: float) -> Outcome:
        """Let the lease of ``token`` last ``lease_s`` from now. Returns ``ok`` or ``lost``."""
        ...

    async def save(self, owner: str, name: str, token: str, sealed: bytes) -> Outcome:
        """Keep ``sealed`` in place of what was there; the lease stays as it is.

        Returns ``ok``, ``large``, ``lost``, or ``full`` for a name that is new. Unless it is
        ``ok``, the profile stays what it was.
        """
        ...

    async def release(self, owner: str, name: str, token: str) -> None:
        """Give the lease back; nothing when it is somebody else's."""
        ...

    async def list(self, owner: str) -> Sequence[ProfileInfo]:
        """All of an owner's, by name."""
        ...

    async def delete(self, owner: str, name: str) -> Outcome:
        """Remove a profile. Returns ``ok``, ``none``, or ``held`` while anybody has the lease."""
        ...


@dataclass
class _Kept:
    sealed: bytes
    saved: float


class FakeProfiles:
    """`Profiles` in memory. ``owners`` are the ids of the keys that there are."""

    def __init__(self, owners: Container[str]) -> None:
        self._owners = owners
        self.kept: dict[str, dict[str, _Kept]] = {}
        self._leases: dict[tuple[str, str], tuple[str, float]] = {}

    def _holder(self, owner: str, name: str) -> str | None:
        token, until = self._leases.get((owner, name), (None, 0.0))
        return token if until > time.monotonic() else None

    def _full(self, owner: str, name: str) -> bool:
        mine = self.kept.get(owner, {})
        return name not in mine and len(mine) >= MOST_PROFILES

    async def take(
        self, owner: str, name: str, token: str, lease_s: float
    ) -> tuple[Outcome, bytes | None]:
        if owner not in self._owners:
            return "lost", None
        if self._holder(owner, name):
            return "held", None
        if self._full(owner, name):
            return "full", None
        self._leases[owner, name] = token, time.monotonic() + lease_s
        found = self.kept.get(owner, {}).get(name)
        return "ok", found.sealed if found else None

    async def renew(self, owner: str, name: str, token: str, lease_s: float) -> Outcome:
        if self._holder(owner, name) != token:
            return "lost"
        self._leases[owner, name] = token, time.monotonic() + lease_s
        return "ok"

    async def save(self, owner: str, name: str, token: str, sealed: bytes) -> Outcome:
        if len(sealed) > MOST_BYTES:
            return "large"
        if self._holder(owner, name) != token or owner not in self._owners:
            return "lost"
        if self._full(owner, name):
            return "full"
        self.kept.setdefault(owner, {})[name] = _Kept(sealed, time.time())
        return "ok"

    async def release(self, owner: str, name: str, token: str) -> None:
        if self._holder(owner, name) == token:
            del self._leases[owner, name]

    async def list(self, owner: str) -> Sequence[ProfileInfo]:
        return [
            ProfileInfo(name, kept.saved, len(kept.sealed), self._holder(owner, name) is not None)
            for name, kept in sorted(self.kept.get(owner, {}).items())
        ]

    async def delete(self, owner: str, name: str) -> Outcome:
        if self._holder(owner, name):
            return "held"
        return "ok" if self.kept.get(owner, {}).pop(name, None) else "none"

    def forget(self, owner: str) -> None:
        """Remove all of a revoked key's."""
        self.kept.pop(owner, None)
