"""Stored responses: SQLite beside the replica. What was acknowledged is on the disk.

They belong to the API key that made them; another key is told there is no such response. The oldest
leave when there are more than `MOST`. A replica on another VM of the room has a file of its own.
"""

import asyncio
import json
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autobot.errors import NotFound

MOST = 10_000
TABLE = """CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, created REAL NOT NULL,
    items TEXT NOT NULL, response TEXT NOT NULL) STRICT"""


@dataclass(frozen=True, slots=True)
class Stored:
    """`items` is everything said before this response, as it was sent; `response` the object."""

    items: list[dict[str, Any]]
    response: dict[str, Any]


class ResponseStore:
    """Opened at the first use. Safe to use from many tasks, and beside another replica's."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self._path = path
        self._most = most
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    async def put(self, owner: str, stored: Stored) -> None:
        """Return when it is durable."""
        await asyncio.to_thread(self._put, owner, stored)

    async def get(self, owner: str, name: str) -> Stored:
        """Raises `NotFound` for one that is not there, or another key's."""
        return await asyncio.to_thread(self._get, owner, name)

    async def delete(self, owner: str, name: str) -> None:
        await asyncio.to_thread(self._delete, owner, name)

    def close(self) -> None:
        with self._lock:
            if self._database:
                self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
            database = sqlite3.connect(self._path, check_same_thread=False, timeout=10)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")  # each commit reaches the disk
            database.execute(TABLE)
            database.execute("CREATE INDEX IF NOT EXISTS age ON responses (created)")
            self._database = database
        return self._database

    def _put(self, owner: str, stored: Stored) -> None:
        row = (stored.response["id"], owner, time.time())
        with self._lock, self._open() as database:
            database.execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?)",
                (*row, json.dumps(stored.items), json.dumps(stored.response)),
            )
            database.execute(
                "DELETE FROM responses WHERE id IN "
                "(SELECT id FROM responses ORDER BY created DESC LIMIT -1 OFFSET ?)",
                (self._most,),
            )

    def _get(self, owner: str, name: str) -> Stored:
        with self._lock:
            found = self._open().execute(
                "SELECT items, response FROM responses WHERE id = ? AND owner = ?", (name, owner)
            )
            row = found.fetchone()
        if row is None:
            raise NotFound(f"There is no response '{name}'.")
        return Stored(json.loads(row[0]), json.loads(row[1]))

    def _delete(self, owner: str, name: str) -> None:
        with self._lock, self._open() as database:
            gone = database.execute(
                "DELETE FROM responses WHERE id = ? AND owner = ?", (name, owner)
            )
        if gone.rowcount == 0:
            raise NotFound(f"There is no response '{name}'.")
