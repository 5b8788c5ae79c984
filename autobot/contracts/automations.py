"""Automations as room main keeps them: each one's draft, its published version, and its versions.

A version is a document that never changes; its id is the hash of its content. Runs keep to the
version they began with.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from autobot.errors import Conflict, NotFound

MOST_AUTOMATIONS = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """An automation. ``draft`` is the text as its author wrote it, ``revision`` counts its changes.

    ``version`` is the published one; its runs act as the API key ``principal``. ``changed`` is
    milliseconds of Unix time. ``write`` numbers the last write of anything in it: those of all
    automations have one count, which only grows, also when one is removed and made again.
    ``hook`` numbers the secret of its webhook. ``since`` is when it was turned on or off, and
    ``reason`` why off, where the platform did it.
    """

    name: str
    draft: str
    revision: int
    author: str
    changed: int
    enabled: bool = False
    version: str | None = None
    principal: str | None = None
    write: int = 0
    since: int = 0
    hook: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """What is noted last of something, empty where nothing is, and how often it was noted."""

    value: str = ""
    count: int = 0


class Stale(Conflict):
    """The automation was changed meanwhile."""

    type = "stale"

    def __init__(self, detail: str | None = None, current: Kept | None = None) -> None:
        """``current`` is what is kept now."""
        Exception.__init__(self, detail or self.default_detail(), current)

    @property
    def current(self) -> Kept | None:
        """What is kept now; None when there is no such automation any more."""
        return self.args[1]


class Automations(Protocol):
    """A write has reached the disk when its call returns. Errors of every call: `Unavailable`."""

    async def all(self) -> Sequence[Kept]:
        """Every automation, by name."""
        ...

    async def get(self, name: str) -> Kept:
        """Raises `NotFound`."""
        ...

    async def save(self, name: str, draft: str, author: str, revision: int | None) -> Kept:
        """Keep a draft in place of that of ``revision``; None says that there is none of that name.

        The same draft again changes nothing. Raises `Stale`, and `Conflict` for one too many.
        """
        ...

    async def publish(
        self, name: str, revision: int, version: str, document: str, principal: str
    ) -> Kept:
        """Let the draft of ``revision`` be what runs from now on, and enable it.

        ``document`` is the version's text. Raises `Stale`, `NotFound`.
        """
        ...

    async def enable(self, name: str, enabled: bool, reason: str = "") -> Kept:
        """Let it start runs or not. Raises `NotFound`."""
        ...

    async def delete(self, name: str) -> Kept:
        """Remove it; its versions stay for the runs that have them. Raises `NotFound`."""
        ...

    async def new_hook(self, name: str) -> Kept:
        """Let its webhook have another secret. Raises `NotFound`."""
        ...

    async def document(self, version: str) -> str | None:
        """Return a version's text."""
        ...

    async def noted(self, what: str) -> Noted:
        """What was noted of it."""
        ...

    async def note(self, what: str, count: int, value: str) -> None:
        """Note a value, unless it was noted more than ``count`` times: somebody else did."""
        ...


class FakeAutomations:
    """`Automations` in memory; ``clock`` gives milliseconds of Unix time."""

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock = clock
        self._kept: dict[str, Kept] = {}
        self._documents: dict[str, str] = {}
        self._notes: dict[str, Noted] = {}
        self._writes = 0

    def _keep(self, kept: Kept) -> Kept:
        self._writes += 1
        self._kept[kept.name] = replace(kept, write=self._writes)
        return self._kept[kept.name]

    async def all(self) -> Sequence[Kept]:
        return [self._kept[name] for name in sorted(self._kept)]

    async def get(self, name: str) -> Kept:
        if name not in self._kept:
            raise missing(name)
        return self._kept[name]

    async def save(self, name: str, draft: str, author: str, revision: int | None) -> Kept:
        current = self._kept.get(name)
        if current and current.draft == draft:
            return current
        if (current.revision if current else None) != revision:
            raise Stale(None, current)
        if current is None and len(self._kept) >= MOST_AUTOMATIONS:
            raise too_many()
        base = current or Kept(name, "", 0, "", 0)
        revision = base.revision + 1
        return self._keep(
            replace(base, draft=draft, author=author, revision=revision, changed=self._clock())
        )

    async def publish(
        self, name: str, revision: int, version: str, document: str, principal: str
    ) -> Kept:
        current = await self.get(name)
        if current.revision != revision:
            raise Stale(None, current)
        self._documents[version] = document
        on = replace(current, enabled=True, since=self._clock(), reason="")
        return self._keep(replace(on, version=version, principal=principal))

    async def enable(self, name: str, enabled: bool, reason: str = "") -> Kept:
        kept = await self.get(name)
        now = self._clock()
        return self._keep(replace(kept, enabled=enabled, since=now, reason=reason))

    async def delete(self, name: str) -> Kept:
        gone = self._keep(await self.get(name))
        del self._kept[name]
        return gone

    async def new_hook(self, name: str) -> Kept:
        kept = await self.get(name)
        return self._keep(replace(kept, hook=kept.hook + 1))

    async def document(self, version: str) -> str | None:
        return self._documents.get(version)

    async def noted(self, what: str) -> Noted:
        return self._notes.get(what, Noted())

    async def note(self, what: str, count: int, value: str) -> None:
        if self._notes.get(what, Noted()).count == count:
            self._notes[what] = Noted(value, count + 1)


def missing(name: str) -> NotFound:
    """Return the error for an automation that is not there."""
    return NotFound(f"There is no automation '{name[:64]}'.")


def too_many() -> Conflict:
    """Return the error for one automation too many."""
    return Conflict(f"There are {MOST_AUTOMATIONS} automations, and no more fit.")
