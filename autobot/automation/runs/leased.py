"""The journal of a run as the worker writes it that holds its lease."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import JsonValue

from autobot.automation.runs.journal import JournalEntry, decoded, encode
from autobot.contracts.runs import LEASE_S, Lease, Release, Runs
from autobot.contracts.runs import Entry as StoredEntry
from autobot.errors import AutoBotError, Unavailable

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2.0
"""Between two calls of a store that is away."""
PAGE = 1_000

T = TypeVar("T")


class Lost(Exception):
    """Somebody else has the run."""


class LeasedJournal:
    """Repeats each call while the store is away, and raises `Lost` once the lease is."""

    def __init__(self, lease: Lease, runs: Runs, random: Callable[[], float]) -> None:
        self.lease = lease
        self.lost = False
        self.recorded = 0
        """The number of the last entry that was read or written."""
        self._runs, self._random = runs, random

    async def read(self) -> list[JournalEntry]:
        """Return what follows the entries that are known."""
        stored: list[StoredEntry] = []
        while True:
            last = self.recorded + len(stored)
            page = await self.insist(lambda last=last: self._runs.read(self.lease.run, last, PAGE))
            stored += page
            if len(page) < PAGE:
                break
        self.recorded += len(stored)
        return decoded(stored)

    async def append(self, entries: Sequence[JournalEntry], release: Release | None) -> bool:
        """Write. Return False when the journal has something to read first."""
        bodies = [encode(entry) for entry in entries]
        seq = self.recorded + 1
        outcome = await self.insist(lambda: self._runs.append(self.lease, seq, bodies, release))
        if outcome == "fenced":
            raise Lost
        if outcome == "behind":
            return False
        self.recorded += len(entries)
        return True

    async def make_sure(self, since: float) -> None:
        """Let the lease go on if much of it may be gone ``since`` it was sure, an instant of the
        event loop. What begins afterwards begins before anybody else can think that it is lost."""
        loop = asyncio.get_running_loop()
        while loop.time() - since > LEASE_S / 3:
            since = loop.time()
            renewals = await self.insist(lambda: self._runs.renew([self.lease]))
            if self.lease.run not in renewals.last:
                raise Lost

    async def put_blob(self, name: str, data: bytes) -> None:
        """Keep a large result."""
        stored = await self.insist(lambda: self._runs.put_blob(self.lease, name, data))
        if stored == "fenced":
            raise Lost

    async def blob(self, name: str) -> JsonValue:
        """Return a large result; raises `AutoBotError` where it is gone."""
        data = await self.insist(lambda: self._runs.blob(self.lease.run, name))
        if data is None:
            raise AutoBotError(f"The result {name!r} of this run is gone.")
        return json.loads(data)

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while the store is away. Attempts go on meanwhile, and none begins."""
        wait = FIRST_WAIT_S
        while True:
            if self.lost:
                raise Lost
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(wait * (0.5 + self._random()))
                wait = min(LONGEST_WAIT_S, wait * 2)
