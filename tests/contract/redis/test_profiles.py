"""Browser profiles: one writer at a time, bounded, each key's own, gone with their key."""

import asyncio
import time

import pytest

from autobot.contracts.profiles import MOST_BYTES, MOST_PROFILES
from autobot.keys import KeyRecord, NewKey, make_key
from deployments.redis.store import Store
from tests.contract.redis.conftest import Server

LEASE_S = 60.0


async def owner_in(store: Store) -> str:
    record: KeyRecord = make_key(NewKey(name="test", scopes=("browser",)))[1]
    await store.keys.add(record)
    return record.id


async def keep(store: Store, owner: str, name: str, sealed: bytes) -> None:
    assert (await store.profiles.take(owner, name, "t", LEASE_S))[0] == "ok"
    assert await store.profiles.save(owner, name, "t", sealed) == "ok"
    await store.profiles.release(owner, name, "t")


async def test_what_is_saved_is_found_by_the_next_writer_and_listed(store: Store) -> None:
    owner = await owner_in(store)
    assert await store.profiles.take(owner, "shop", "one", LEASE_S) == ("ok", None)
    assert await store.profiles.save(owner, "shop", "one", b"\0\xff sealed") == "ok"
    (listed,) = await store.profiles.list(owner)
    assert (listed.name, listed.bytes, listed.in_use) == ("shop", 9, True)
    assert abs(listed.saved - time.time()) < 60
    await store.profiles.release(owner, "shop", "one")
    assert not (await store.profiles.list(owner))[0].in_use
    assert await store.profiles.take(owner, "shop", "two", LEASE_S) == ("ok", b"\0\xff sealed")


async def test_a_profile_has_one_writer_at_a_time(store: Store) -> None:
    owner, profiles = await owner_in(store), store.profiles
    taken = await asyncio.gather(*(profiles.take(owner, "a", str(n), LEASE_S) for n in range(8)))
    outcomes = [outcome for outcome, _ in taken]
    assert sorted(outcomes) == ["held"] * 7 + ["ok"]
    winner = str(outcomes.index("ok"))
    assert await profiles.save(owner, "a", "stranger", b"x") == "lost"
    assert await profiles.renew(owner, "a", "stranger", LEASE_S) == "lost"
    await profiles.release(owner, "a", "stranger")
    assert await profiles.delete(owner, "a") == "held"
    assert await profiles.save(owner, "a", winner, b"x") == "ok"
    await profiles.release(owner, "a", winner)
    assert await profiles.delete(owner, "a") == "ok"
    assert await profiles.delete(owner, "a") == "none"


async def test_a_writer_that_vanished_loses_its_lease_and_cannot_overwrite(store: Store) -> None:
    owner, profiles = await owner_in(store), store.profiles
    assert (await profiles.take(owner, "a", "gone", 0.2))[0] == "ok"
    outcome = "held"
    for _ in range(200):
        outcome, _ = await profiles.take(owner, "a", "next", LEASE_S)
        if outcome == "ok":
            break
        await asyncio.sleep(0.05)
    assert outcome == "ok"
    assert await profiles.save(owner, "a", "gone", b"old") == "lost"
    assert await profiles.save(owner, "a", "next", b"new") == "ok"


async def test_a_lease_that_is_renewed_lasts(store: Store) -> None:
    owner, profiles = await owner_in(store), store.profiles
    await profiles.take(owner, "a", "one", 30)
    assert await profiles.renew(owner, "a", "one", 0.1) == "ok"
    for _ in range(200):
        if await profiles.renew(owner, "a", "one", 0.1) == "lost":
            break
        await asyncio.sleep(0.2)
    else:
        pytest.fail("renewing did not set the lease's end")
    await profiles.take(owner, "b", "one", 0.2)
    assert await profiles.renew(owner, "b", "one", 60) == "ok"
    await asyncio.sleep(0.4)
    assert (await profiles.take(owner, "b", "two", 60))[0] == "held"


async def test_profiles_are_each_keys_own_and_gone_with_it(store: Store) -> None:
    ann, bo = await owner_in(store), await owner_in(store)
    await keep(store, ann, "shop", b"ann's")
    await keep(store, bo, "shop", b"bo's")
    assert (await store.profiles.take(bo, "shop", "t", LEASE_S))[1] == b"bo's"
    await store.profiles.take(ann, "shop", "t", LEASE_S)
    await store.keys.revoke(ann)
    assert await store.profiles.list(ann) == []
    assert await store.profiles.save(ann, "shop", "t", b"late") == "lost"
    assert (await store.profiles.take(ann, "other", "t", LEASE_S))[0] == "lost"
    assert [p.name for p in await store.profiles.list(bo)] == ["shop"]


async def test_number_and_size_are_bounded(store: Store) -> None:
    owner = await owner_in(store)
    for number in range(MOST_PROFILES):
        await keep(store, owner, f"p{number}", b"x")
    assert (await store.profiles.take(owner, "more", "t", LEASE_S))[0] == "full"
    assert (await store.profiles.take(owner, "p0", "t", LEASE_S))[0] == "ok"
    assert await store.profiles.save(owner, "p0", "t", bytes(MOST_BYTES + 1)) == "large"
    assert await store.profiles.save(owner, "p0", "t", bytes(MOST_BYTES)) == "ok"


async def test_a_revoked_keys_profiles_leave_nothing_in_redis(server: Server) -> None:
    store = server.store()
    owner = await owner_in(store)
    await keep(store, owner, "shop", b"sealed")
    assert any("profile" in str(key) for key in server.client("operator").keys("*"))
    await store.keys.revoke(owner)
    assert not [key for key in server.client("operator").keys("*") if "profile" in str(key)]
    await store.close()


async def test_a_saved_profile_survives_a_killed_server(server: Server) -> None:
    store = server.store()
    owner = await owner_in(store)
    await keep(store, owner, "shop", b"sealed")
    server.kill()
    server.start()
    assert [found.name for found in await store.profiles.list(owner)] == ["shop"]
    assert await store.profiles.take(owner, "shop", "t", LEASE_S) == ("ok", b"sealed")
    await store.close()
