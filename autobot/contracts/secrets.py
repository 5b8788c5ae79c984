"""Secrets of automations as room main keeps them: texts that steps use by name.

Nobody reads a value back but the engine, when a step begins.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from autobot.errors import Conflict, Invalid, NotFound

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
"""As environment variables are named, and as ``secrets.NAME`` says it."""
MOST_SECRETS = 200
LONGEST = 64 << 10
"""Bytes of a value in UTF-8."""
SHORTEST = 4
"""Characters of a value, without white space at its ends: a shorter one would be masked wherever
a few characters happen to be the same."""


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """A secret without its value. Instants are milliseconds of Unix time, ``by`` is the id of the
    API key that set it last. One that is not ``readable`` has to be set again: it was sealed under
    another key, or comes from a backup."""

    name: str
    created: int
    changed: int
    by: str
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Opened:
    """The values of secrets that were asked for; no representation shows them."""

    values: Mapping[str, str] = field(repr=False)
    missing: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()


class SecretMissing(NotFound):
    """There is no such secret."""

    type = "secret-missing"


class SecretUnreadable(Conflict):
    """The secret has to be set again: this platform's key does not open it."""

    type = "secret-unreadable"


class Secrets(Protocol):
    """A write has reached the disk when its call returns. Errors of every call: `Unavailable`."""

    async def all(self) -> Sequence[SecretInfo]:
        """Every secret, by name."""
        ...

    async def set(self, name: str, value: str, by: str) -> SecretInfo:
        """Keep a value in place of what was there. Raises `Invalid`, `Conflict` for one too
        many."""
        ...

    async def remove(self, name: str) -> None:
        """Raises `NotFound`."""
        ...

    async def open(self, names: Collection[str]) -> Opened:
        """Return the values as they are now."""
        ...


class FakeSecrets:
    """`Secrets` in memory; ``clock`` gives milliseconds of Unix time. What was set before `key`
    changed is not readable."""

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock = clock
        self.key = "first"
        self._kept: dict[str, tuple[SecretInfo, str, str]] = {}

    async def all(self) -> Sequence[SecretInfo]:
        return [
            replace(info, readable=key == self.key)
            for _, (info, _, key) in sorted(self._kept.items())
        ]

    async def set(self, name: str, value: str, by: str) -> SecretInfo:
        check(name, value)
        if name not in self._kept and len(self._kept) >= MOST_SECRETS:
            raise too_many()
        now = self._clock()
        created = self._kept[name][0].created if name in self._kept else now
        info = SecretInfo(name, created, now, by)
        self._kept[name] = info, value, self.key
        return info

    async def remove(self, name: str) -> None:
        if self._kept.pop(name, None) is None:
            raise missing(name)

    async def open(self, names: Collection[str]) -> Opened:
        kept = {name: self._kept[name] for name in names if name in self._kept}
        values = {name: value for name, (_, value, key) in kept.items() if key == self.key}
        return Opened(
            values, frozenset(names) - kept.keys(), frozenset(kept.keys() - values.keys())
        )


def check(name: str, value: str) -> None:
    """Raise `Invalid` for a name or a value that no secret has; it does not repeat the value."""
    if not NAME.fullmatch(name):
        raise Invalid(
            "A secret's name has capital letters, digits and underlines, a letter first, and at "
            "most 63 of them."
        )
    if not value:
        raise Invalid("A secret's value is not empty.")
    if len(value.strip()) < SHORTEST:
        raise Invalid(
            f"A secret's value has at least {SHORTEST} characters, white space at its ends aside: "
            "a shorter one could not be masked."
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Invalid("A secret's value is text of whole characters.") from None
    if size > LONGEST:
        raise Invalid(f"A secret's value has at most {LONGEST} bytes.")


def missing(*names: str) -> SecretMissing:
    """Return the error for secrets that are not there."""
    return SecretMissing(f"There is no secret {_listed(names)}: set it with `autobot secret set`.")


def unreadable(*names: str) -> SecretUnreadable:
    """Return the error for secrets that have to be set again."""
    return SecretUnreadable(
        f"This platform's key does not open the secret {_listed(names)}: set it again with "
        "`autobot secret set`."
    )


def too_many() -> Conflict:
    """Return the error for one secret too many."""
    return Conflict(f"There are {MOST_SECRETS} secrets, and no more fit.")


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name[:63]) for name in sorted(names))
