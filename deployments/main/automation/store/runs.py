"""`Runs` on Redis."""

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from autobot.contracts.runs import (
    LEASE_S,
    MOST_ASKS,
    MOST_LISTED,
    Appended,
    Asked,
    Claims,
    Created,
    Cursor,
    Entry,
    Fire,
    Fired,
    Lease,
    NewRun,
    Purpose,
    Release,
    Renewals,
    Run,
    Scheduled,
    State,
    check_blob,
    check_entries,
)
from deployments.main.automation.store.connection import PREFIX, translated
from deployments.main.automation.store.scripts import COMMON, SCRIPTS

FIRES = f"{PREFIX}fires"


class RedisRuns:
    """Each call is one script or one command; writes are synced (appendfsync always)."""

    def __init__(self, client: "redis.asyncio.Redis", lease_s: float = LEASE_S) -> None:
        self._lease = round(lease_s * 1000)
        self._redis = client
        self._scripts = {
            name: self._redis.register_script(COMMON + body) for name, body in SCRIPTS.items()
        }

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()

    async def _run(self, script: str, *args: Any) -> Any:
        values = ["" if value is None else value for value in args]
        with translated():
            return await self._scripts[script](args=values)

    async def _word(self, script: str, *args: Any) -> Any:
        return (await self._run(script, *args)).decode()

    async def create(self, run: NewRun) -> Created:
        return await self._word("create", *_new(run))

    async def get(self, run: str) -> Run | None:
        shown = await self._run("get", run)
        return _run(shown) if shown else None

    async def list(
        self,
        automation: str | None = None,
        state: State | None = None,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[Run]:
        limit = min(limit, MOST_LISTED)
        found = await self._run("list", automation, state, limit, *(before or ("", "")))
        return [_run(shown) for shown in found]

    async def read(self, run: str, after: int = 0, limit: int = 1_000) -> Sequence[Entry]:
        log = f"{PREFIX}run:{run}:log"
        with translated():
            found: Any = await self._redis.xrange(log, f"{after + 1}-0", "+", limit)
        return [
            Entry(int(name.partition(b"-")[0]), int(of[b"t"]), int(of[b"a"]), of[b"b"])
            for name, of in found
        ]

    async def claim(self, limit: int) -> Claims:
        now, got = await self._run("claim", limit, self._lease)
        return Claims(now, tuple(Lease(run.decode(), token) for run, token in got))

    async def renew(self, leases: Sequence[Lease]) -> Renewals:
        pairs = [part for lease in leases for part in (lease.run, lease.token)]
        now, last = await self._run("renew", self._lease, *pairs)
        return Renewals(now, {run.decode(): int(seq) for run, seq in last})

    async def append(
        self, lease: Lease, seq: int, entries: Sequence[bytes], release: Release | None = None
    ) -> Appended:
        check_entries(entries)
        end = ("release", release.state, release.due) if release else ("", "", "")
        return await self._word("append", lease.run, lease.token, seq, self._lease, *end, *entries)

    async def ask(self, run: str, ask: str, entry: bytes, purpose: Purpose = "other") -> Asked:
        check_entries([entry])
        return await self._word("ask", run, ask, purpose, MOST_ASKS, entry)

    async def put_blob(self, lease: Lease, name: str, data: bytes) -> Appended:
        check_blob(data)
        return await self._word("put_blob", lease.run, lease.token, name, data)

    async def blob(self, run: str, name: str) -> bytes | None:
        with translated():
            return await self._redis.hget(f"{PREFIX}run:{run}:blobs", name)  # pyright: ignore[reportGeneralTypeIssues, reportReturnType]

    async def hold(self, automation: str, held: bool, *, revision: int | None = None) -> None:
        await self._run("hold", automation, int(held), revision)

    async def ends(self, limit: int = 100) -> Sequence[Run]:
        return [_run(shown) for shown in await self._run("ends", limit)]

    async def acknowledge(self, runs: Sequence[str]) -> None:
        if runs:
            await self._run("acknowledge", *runs)

    async def prune(self, limit: int = 100) -> int:
        return await self._run("prune", limit)

    async def schedule(
        self, schedule: str, at: int | None, *, revision: int | None = None, keep: bool = False
    ) -> Scheduled:
        return await self._word("schedule", schedule, at, revision, int(keep))

    async def fires(self, limit: int = 100) -> Sequence[Fire]:
        with translated():
            seconds, micros = await self._redis.time()
            now = seconds * 1000 + micros // 1000
            due: Any = await self._redis.zrangebyscore(
                FIRES, "-inf", now, 0, limit, withscores=True
            )
        return [Fire(name.decode(), int(at)) for name, at in due]

    async def fire(
        self,
        fire: Fire,
        following: int | None,
        run: NewRun | None,
        *,
        again_when_full: bool = False,
    ) -> Fired:
        new = _new(run) if run else ()
        again = int(again_when_full)
        return await self._word("fire", fire.schedule, fire.at, following, again, *new)


def _new(run: NewRun) -> tuple[Any, ...]:
    kept = (run.most_kept, run.kept_s * 1000, run.taken_s * 1000, run.blobs_of)
    most = (run.most_open, run.most_running)
    return (run.id, run.automation, run.due, *most, *kept, *run.entries)


def _run(shown: Sequence[Any]) -> Run:
    run, automation, state, created, ended, due, seq, token = shown
    return Run(
        run.decode(),
        automation.decode(),
        state.decode(),
        int(created),
        int(ended) if ended else None,
        int(float(due)) if due else None,
        int(seq),
        int(token),
    )
