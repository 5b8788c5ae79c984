"""The seal of profiles: only the same API key, owner and name open it; nothing changed does."""

import json
import os

import pytest

from autobot.contracts.profiles import FakeProfiles
from autobot.errors import Conflict, TooLarge
from deployments.browser.profiles import service as profiles
from deployments.browser.profiles.service import MAX_PLAIN, Profile, ProfileDamaged, Seal

STORAGE = {"cookies": [{"name": "session", "value": "ann"}], "origins": []}


def test_a_seal_opens_what_it_closed() -> None:
    sealed = Seal("ab_one").close("ann", "shop", STORAGE)
    assert Seal("ab_one").open("ann", "shop", sealed) == STORAGE


def test_the_same_storage_is_never_sealed_alike() -> None:
    seal = Seal("ab_one")
    assert seal.close("ann", "shop", STORAGE) != seal.close("ann", "shop", STORAGE)


@pytest.mark.parametrize(
    ("key", "owner", "name"),
    [("ab_two", "ann", "shop"), ("ab_one", "bo", "shop"), ("ab_one", "ann", "bank")],
)
def test_another_key_owner_or_name_does_not_open_it(key: str, owner: str, name: str) -> None:
    sealed = Seal("ab_one").close("ann", "shop", STORAGE)
    with pytest.raises(ProfileDamaged):
        Seal(key).open(owner, name, sealed)


def test_a_changed_byte_anywhere_is_noticed() -> None:
    seal = Seal("ab_one")
    sealed = seal.close("ann", "shop", STORAGE)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(ProfileDamaged):
            seal.open("ann", "shop", bytes(changed))
    for short in (b"", sealed[:20], sealed[:-1]):
        with pytest.raises(ProfileDamaged):
            seal.open("ann", "shop", short)


def test_the_hash_that_redis_has_of_a_key_opens_nothing() -> None:
    from autobot.keys import hash_key

    sealed = Seal("ab_one").close("ann", "shop", STORAGE)
    with pytest.raises(ProfileDamaged):
        Seal(hash_key("ab_one")).open("ann", "shop", sealed)


def test_too_large_a_storage_is_refused_before_it_is_sent() -> None:
    with pytest.raises(TooLarge):
        Seal("ab_one").close("ann", "shop", {"cookies": "x" * MAX_PLAIN})


async def test_a_profile_larger_than_the_store_takes_is_refused() -> None:
    profile = Profile("ann", "shop", Seal("ab_one"), FakeProfiles({"ann"}))
    await profile.take()
    with pytest.raises(TooLarge):
        await profile.save({"cookies": os.urandom(3 << 20).hex()})


async def test_a_damaged_profile_gives_its_lease_back() -> None:
    store = FakeProfiles({"ann"})
    first = Profile("ann", "shop", Seal("ab_one"), store)
    await first.take()
    await first.save(STORAGE)
    await first.release()
    with pytest.raises(ProfileDamaged):
        await Profile("ann", "shop", Seal("ab_two"), store).take()
    again = Profile("ann", "shop", Seal("ab_one"), store)
    await again.take()
    assert json.dumps(again.storage) == json.dumps(STORAGE)


async def test_a_session_that_lost_its_lease_does_not_overwrite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = FakeProfiles({"ann"})
    monkeypatch.setattr(profiles, "LEASE_S", 0.0)  # over at once, as after a long outage
    slow = Profile("ann", "shop", Seal("ab_one"), store)
    await slow.take()
    monkeypatch.setattr(profiles, "LEASE_S", 60.0)
    other = Profile("ann", "shop", Seal("ab_one"), store)
    await other.take()
    await other.save(STORAGE)
    await slow.renew()
    with pytest.raises(Conflict, match="no longer the writer"):
        await slow.save({"cookies": [], "origins": []})
    assert Seal("ab_one").open("ann", "shop", store.kept["ann"]["shop"].sealed) == STORAGE
