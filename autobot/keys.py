"""API keys: how they are made, stored and checked.

A key is ``ab_<id>_<secret>``. Only its SHA-256 is ever stored: the secret has 256 random bits, so a
slow password hash would cost every request and add nothing.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema

from autobot.errors import Forbidden, Unauthenticated, Unavailable
from autobot.files import write_private
from autobot.manifests import rooms


def _known(scope: str) -> str:
    if scope not in rooms().scopes:
        raise ValueError(f"should be one of {', '.join(rooms().scopes)}")
    return scope


class _Listed:
    """The document lists the scopes there are."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": list(rooms().scopes)}


Scope = Annotated[str, Field(max_length=100), AfterValidator(_known), _Listed]
"""What a key may be allowed: by the platform itself, or by a room's manifest."""
Domain = Annotated[
    str,
    Field(
        max_length=253,
        # Names as a browser sends them, so a list means what it says: an international name is
        # written in its xn-- form.
        pattern=r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$|^\[[0-9A-Fa-f:.]+\]$",
    ),
]
Domains = Annotated[tuple[Domain, ...], Field(max_length=256, fail_fast=True)]
REFRESH_S = 10.0
"""Room main tells every replica of a change; this is for one that could not be told."""
REFRESH_AT_FIRST_S = 1.0
AT_FIRST = 20
"""A replica asks more often while room main may not know yet that it is there."""
FETCH_DEADLINE_S = 1.5
UNKNOWN_EVERY_S = 0.5
"""How often keys that are not known here may cause a fetch, all of them together."""

log = structlog.get_logger()


class KeyRecord(BaseModel, frozen=True):
    """What is kept of a key. Times are Unix seconds; ``expires`` None means never.

    Its pages in room browser reach ``allow_domains`` only, unless that is empty, and never
    ``deny_domains``; subdomains are included.
    """

    id: str
    name: str
    sha256: str
    scopes: tuple[str, ...]
    """Also those of a room that is not here any more: they allow nothing."""
    created: float
    expires: float | None = None
    allow_domains: tuple[str, ...] = ()
    deny_domains: tuple[str, ...] = ()

    def allows(self, scope: Scope) -> bool:
        """Whether it has ``scope``, or ``admin``, which has them all. Expiry is not looked at."""
        return "admin" in self.scopes or scope in self.scopes


class NewKey(BaseModel):
    """What a person asks for when making a key."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w .@-]+$")
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=32, fail_fast=True)
    expires_in_s: float | None = Field(default=None, gt=0, le=10 * 365 * 86400)
    allow_domains: Domains = ()
    deny_domains: Domains = ()


RECORDS = TypeAdapter(list[KeyRecord])


def hash_key(key: str) -> str:
    """Return its SHA-256 in hex, which is all that is ever stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def make_key(request: NewKey, plaintext: str | None = None) -> tuple[str, KeyRecord]:
    """Return the plaintext, which nobody can recover later, and the record to store."""
    now = time.time()
    key_id = secrets.token_hex(4)
    key = plaintext or f"ab_{key_id}_{secrets.token_urlsafe(32)}"
    record = KeyRecord(
        id=key_id,
        name=request.name,
        sha256=hash_key(key),
        scopes=request.scopes,
        created=now,
        expires=now + request.expires_in_s if request.expires_in_s else None,
        allow_domains=request.allow_domains,
        deny_domains=request.deny_domains,
    )
    return key, record


class KeyRing:
    """The keys a replica accepts: a snapshot it refreshes itself and keeps on disk.

    It refreshes when room main says that keys have changed, when it is shown a key that it does not
    know, and every `REFRESH_S`. Checking a key never leaves the process. When the room that owns
    the keys is gone the last snapshot goes on serving, so one lost VM does not lock everybody out
    of the other five; a key revoked meanwhile is refused as soon as that room is back. Expiry is
    always enforced.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Sequence[KeyRecord]]], snapshot: Path | None = None
    ) -> None:
        self._fetch = fetch
        self._snapshot = snapshot
        self._by_hash: dict[str, KeyRecord] = {}
        self._loaded = False
        self._by_id: dict[str, KeyRecord] = {}
        self.listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._fetching = asyncio.Lock()
        self._asked = self._served = 0
        self._unknown_at = -math.inf
        self.last_error: str | None = None
        self.snapshot_error: str | None = None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each change of the keys; `holds` tells what became of one."""
        self.listeners.append(listener)

    def holds(self, key_id: str) -> bool:
        """Whether the key of this id is neither revoked nor expired."""
        record = self._by_id.get(key_id)
        return record is not None and not self._expired(record)

    def record(self, key_id: str) -> KeyRecord | None:
        """Return the record of a key that is neither revoked nor expired."""
        return self._by_id[key_id] if self.holds(key_id) else None

    def seconds_left(self, record: KeyRecord) -> float | None:
        """Until ``record`` expires; None when it never does."""
        return None if record.expires is None else max(0.0, record.expires - time.time())

    def check(self, key: str | None, *scopes: Scope) -> KeyRecord:
        """Return the record of a key that has all ``scopes``.

        Raises Unauthenticated, Forbidden, or, before anything is known of keys, Unavailable.
        """
        if not key:
            raise Unauthenticated
        if not self._loaded:
            raise Unavailable("API keys are not loaded yet: room redis has not answered.")
        wanted = hash_key(key)
        record = self._by_hash.get(wanted)
        if record is None or not hmac.compare_digest(record.sha256, wanted):
            raise Unauthenticated("This API key is not known here.")
        if self._expired(record):
            raise Unauthenticated("This API key has expired.")
        for scope in scopes:
            if not record.allows(scope):
                raise Forbidden(f"This API key lacks the scope '{scope}'.")
        return record

    def _expired(self, record: KeyRecord) -> bool:
        return record.expires is not None and record.expires <= time.time()

    def start(self) -> None:
        """Load the snapshot on disk and refresh until `stop`; needs a running event loop."""
        if self._task is None:
            self._load_snapshot()
            self._task = asyncio.get_running_loop().create_task(self._refresh_for_ever())

    async def stop(self) -> None:
        """End the refreshing and wait for its end; `check` goes on with the keys it has."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def refresh(self) -> bool:
        """Have what is there now; on failure keep what we have, and return False.

        Who comes while a fetch is on its way shares the next one: that one began too early.
        """
        self._asked += 1
        mine = self._asked
        async with self._fetching:
            if self._served < mine:
                serving = self._asked
                await self._fetch_once()
                self._served = serving
        return self.last_error is None

    async def catch_up(self, key: str | None) -> None:
        """Fetch once before an unknown ``key`` is refused: it may have been made a moment ago."""
        if not key or not self._loaded or hash_key(key) in self._by_hash:
            return
        now = time.monotonic()
        if now - self._unknown_at < UNKNOWN_EVERY_S or self.last_error is not None:
            return
        self._unknown_at = now
        await self.refresh()

    async def _fetch_once(self) -> None:
        try:
            records = await asyncio.wait_for(self._fetch(), FETCH_DEADLINE_S)
        except Exception as error:  # whatever the owner's VM does, this one goes on serving
            reason = str(error) or type(error).__name__
            if self.last_error is None:
                log.warning("keys.refresh_failed", reason=reason)
            self.last_error = reason
            return
        self.last_error = None
        self._accept(records)

    async def _refresh_for_ever(self) -> None:
        for turn in itertools.count():
            await self.refresh()
            soon = turn < AT_FIRST or self.last_error is not None
            await asyncio.sleep(REFRESH_AT_FIRST_S if soon else REFRESH_S)

    def _accept(self, records: Iterable[KeyRecord]) -> None:
        fresh = {record.sha256: record for record in records}
        known = self._loaded and fresh == self._by_hash
        if not known:
            self._take(fresh)
        if not known or self.snapshot_error is not None:
            self._save()

    def _save(self) -> None:
        """Keep the snapshot on disk; a disk that is full refuses nobody."""
        if self._snapshot is None:
            return
        try:
            write_private(self._snapshot, RECORDS.dump_json(list(self._by_hash.values())))
        except OSError as error:
            if self.snapshot_error is None:
                log.warning("keys.snapshot_not_written", reason=str(error))
            self.snapshot_error = f"the snapshot of keys cannot be written: {error.strerror}"
            return
        self.snapshot_error = None

    def _load_snapshot(self) -> None:
        if self._snapshot is None or not self._snapshot.exists():
            return
        try:
            records = RECORDS.validate_json(self._snapshot.read_bytes())
        except (ValidationError, OSError) as error:
            log.warning("keys.snapshot_unreadable", reason=str(error))
            return
        self._take({record.sha256: record for record in records})

    def _take(self, by_hash: dict[str, KeyRecord]) -> None:
        self._by_hash, self._loaded = by_hash, True
        self._by_id = {record.id: record for record in by_hash.values()}
        for listener in self.listeners:
            listener()
