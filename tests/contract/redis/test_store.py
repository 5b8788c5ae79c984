"""What every store keeps; the fake is held to it as the real one is."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from autobot.errors import NotFound, Unavailable
from autobot.keys import RECORDS, KeyRecord, NewKey, make_key
from deployments.redis.store import Store
from tests.contract.redis.conftest import Server


def record(name: str = "test") -> KeyRecord:
    return make_key(NewKey(name=name, scopes=("llm",)))[1]


async def test_what_is_added_is_listed(store: Store) -> None:
    added = record()
    await store.keys.add(added)
    assert await store.keys.records() == [added]


async def test_seeds_enter_only_an_empty_store(store: Store) -> None:
    first, second = record("first"), record("second")
    assert await store.keys.seed([first, second]) == 2
    assert await store.keys.seed([record("third")]) == 0
    assert {r.name for r in await store.keys.records()} == {"first", "second"}


async def test_seeds_do_not_come_back_when_every_key_is_revoked(store: Store) -> None:
    seed = record("seed")
    assert await store.keys.seed([seed]) == 1
    await store.keys.revoke(seed.id)
    assert await store.keys.seed([seed]) == 0
    assert await store.keys.records() == []


async def test_revoked_keys_are_gone_and_unknown_ones_not_found(store: Store) -> None:
    kept, gone = record(), record()
    await store.keys.add(kept)
    await store.keys.add(gone)
    assert await store.keys.revoke(gone.id) == gone
    assert await store.keys.records() == [kept]
    with pytest.raises(NotFound):
        await store.keys.revoke(gone.id)


async def test_a_revocation_that_fails_in_the_middle_refuses_the_key_and_a_retry_finishes_it(
    store: Store, removals_fail: Callable[[], AbstractContextManager[None]]
) -> None:
    await store.keys.add(gone := record())
    await store.responses.put(gone.id, "resp_1", "x")
    with removals_fail():
        with pytest.raises(Unavailable):
            await store.keys.revoke(gone.id)
        assert await store.keys.records() == []
        assert await store.responses.put(gone.id, "resp_2", "x") == "lost"
    assert await store.keys.revoke(gone.id) == gone
    assert await store.responses.get(gone.id, "resp_1") is None
    with pytest.raises(NotFound):
        await store.keys.revoke(gone.id)


async def test_what_a_failed_revocation_left_behind_goes_when_the_keys_are_next_asked_for(
    store: Store, removals_fail: Callable[[], AbstractContextManager[None]]
) -> None:
    await store.keys.add(gone := record())
    await store.responses.put(gone.id, "resp_1", "x")
    with removals_fail(), pytest.raises(Unavailable):
        await store.keys.revoke(gone.id)
    assert await store.keys.records() == []
    assert await store.responses.get(gone.id, "resp_1") is None


async def test_a_revocation_that_a_killed_replica_began_is_finished_by_the_next(
    server: Server,
) -> None:
    first, second = server.store(), server.store()
    await first.keys.add(gone := record())
    await first.responses.put(gone.id, "resp_1", "x")
    with server.removals_fail(), pytest.raises(Unavailable):
        await first.keys.revoke(gone.id)
    await first.close()
    assert await second.keys.records() == []
    assert await second.responses.get(gone.id, "resp_1") is None
    await second.close()


async def test_a_key_can_be_revoked_while_redis_has_no_memory_left(server: Server) -> None:
    store = server.store()
    await store.keys.add(gone := record())
    server.client("operator").config_set("maxmemory", "100kb")
    with pytest.raises(Unavailable, match="memory"):
        await store.keys.add(record())
    assert await store.keys.revoke(gone.id) == gone
    assert await store.keys.records() == []
    await store.close()


async def test_a_replica_that_starts_while_redis_takes_no_writes_can_read_the_keys(
    server: Server, tmp_path: Path
) -> None:
    seed, first = record("seed"), tmp_path / "seed_keys.json"
    first.write_bytes(RECORDS.dump_json([seed]))
    before, after = server.store(first), server.store(first)
    assert await before.keys.records() == [seed]
    server.client("operator").config_set("maxmemory", "100kb")
    assert await after.keys.records() == [seed]
    for store in (before, after):
        await store.close()


async def test_snapshot_is_in_redis_format(store: Store) -> None:
    await store.keys.add(record())
    assert (await store.backup.snapshot()).startswith(b"REDIS")


async def test_replicas_that_start_together_seed_once(server: Server) -> None:
    stores = [server.store() for _ in range(8)]
    added = await asyncio.gather(*(s.keys.seed([record(), record()]) for s in stores))
    assert sorted(added) == [0] * 7 + [2]
    await asyncio.gather(*(s.close() for s in stores))


async def test_facts_name_the_modules_and_durability(server: Server) -> None:
    store = server.store()
    facts = await store.facts()
    assert set(facts["modules"]) >= {"search", "ReJSON"}
    assert facts["durable"] is True
    assert "degraded" not in facts
    await store.close()


async def test_an_acknowledged_write_survives_kill_9_and_the_store_reconnects(
    server: Server,
) -> None:
    store = server.store()
    added = [record(str(number)) for number in range(20)]
    for one in added:
        await store.keys.add(one)
    server.kill()
    with pytest.raises(Unavailable):
        await store.keys.records()
    server.start()
    assert {r.id for r in await store.keys.records()} == {r.id for r in added}
    await store.close()


async def test_a_dead_server_is_told_within_its_deadline(server: Server) -> None:
    store = server.store()
    server.kill()
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await store.facts()
    assert time.monotonic() - started < 5
    await store.close()


async def test_a_restored_backup_has_the_keys(server: Server) -> None:
    from autobot.backup import pack, restore

    store = server.store()
    await store.keys.add(kept := record("kept"))
    file = server.settings.home / "backup.tar.gz"
    file.write_bytes(pack(await store.backup.snapshot()))
    await store.keys.revoke(kept.id)
    server.kill()
    restore(server.settings, file, force=True)
    server.start()
    assert await store.keys.records() == [kept]
    await store.close()
