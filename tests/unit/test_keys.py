"""Keys are hashed, scoped, expire, and go on working when the room that owns them is gone."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from autobot.errors import Forbidden, Unauthenticated, Unavailable
from autobot.keys import KeyRecord, KeyRing, NewKey, make_key


class Owner:
    """Room redis, as a key ring sees it."""

    def __init__(self, *records: KeyRecord) -> None:
        self.records = list(records)
        self.away = False

    async def fetch(self) -> Sequence[KeyRecord]:
        if self.away:
            raise ConnectionError("room redis is off")
        return list(self.records)


def new_key(*scopes: str, expires_in_s: float | None = None) -> tuple[str, KeyRecord]:
    return make_key(NewKey(name="test", scopes=scopes, expires_in_s=expires_in_s))  # type: ignore[arg-type]


async def test_known_key_passes_for_its_scope_and_no_other() -> None:
    key, record = new_key("llm")
    ring = KeyRing(Owner(record).fetch)
    await ring.refresh()
    assert ring.check(key, "llm").id == record.id
    with pytest.raises(Forbidden, match="npu"):
        ring.check(key, "npu")


async def test_admin_implies_every_scope() -> None:
    key, record = new_key("admin")
    ring = KeyRing(Owner(record).fetch)
    await ring.refresh()
    assert ring.check(key, "browser")


async def test_unknown_missing_and_expired_keys_are_refused() -> None:
    key, record = new_key("llm", expires_in_s=60)
    stale = record.model_copy(update={"expires": time.time() - 1})
    ring = KeyRing(Owner(stale).fetch)
    await ring.refresh()
    for wrong in (key, key + "x", "", None):
        with pytest.raises(Unauthenticated):
            ring.check(wrong, "llm")


async def test_before_any_snapshot_the_answer_is_unavailable_not_unknown() -> None:
    ring = KeyRing(Owner().fetch)
    with pytest.raises(Unavailable):
        ring.check("ab_x", "llm")


async def test_revoked_key_is_refused_after_a_refresh() -> None:
    key, record = new_key("llm")
    owner = Owner(record)
    ring = KeyRing(owner.fetch)
    await ring.refresh()
    owner.records.clear()
    await ring.refresh()
    with pytest.raises(Unauthenticated):
        ring.check(key, "llm")


async def test_keys_go_on_working_while_their_owner_is_away(tmp_path: Path) -> None:
    key, record = new_key("llm")
    owner = Owner(record)
    ring = KeyRing(owner.fetch, tmp_path / "keys.json")
    await ring.refresh()
    owner.away = True
    await ring.refresh()
    assert ring.check(key, "llm")
    assert ring.last_error == "room redis is off"


async def test_a_replica_born_while_the_owner_is_away_reads_the_snapshot(tmp_path: Path) -> None:
    key, record = new_key("llm")
    owner = Owner(record)
    await KeyRing(owner.fetch, tmp_path / "keys.json").refresh()
    owner.away = True
    born = KeyRing(owner.fetch, tmp_path / "keys.json")
    born.start()
    await asyncio.sleep(0.05)
    assert born.check(key, "llm")
    await born.stop()


async def test_snapshot_holds_no_key_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    key, record = new_key("llm")
    file = tmp_path / "state" / "keys.json"
    await KeyRing(Owner(record).fetch, file).refresh()
    assert key not in file.read_text()
    assert json.loads(file.read_text())[0]["sha256"] == record.sha256
    assert file.stat().st_mode & 0o777 == 0o600


async def test_damaged_snapshot_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{not json")
    owner = Owner()
    owner.away = True
    ring = KeyRing(owner.fetch, file)
    ring.start()
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        ring.check("ab_x", "llm")
    await ring.stop()


def test_lists_of_domains_are_kept_with_the_key_and_old_records_have_none() -> None:
    request = NewKey(
        name="shop",
        scopes=("browser",),
        allow_domains=("example.com", "*.example.org"),
        deny_domains=("ads.example.com",),
    )
    record = make_key(request)[1]
    assert record.allow_domains == ("example.com", "*.example.org")
    assert record.deny_domains == ("ads.example.com",)
    old = record.model_dump(exclude={"allow_domains", "deny_domains"})
    assert KeyRecord.model_validate(old).allow_domains == ()


@pytest.mark.parametrize(
    "wrong", ["", "https://example.com", "example.com/x", "b\u00fccher.de", "a b"]
)
def test_what_no_browser_sends_as_a_host_is_no_domain_of_a_list(wrong: str) -> None:
    with pytest.raises(ValidationError):
        NewKey(name="shop", scopes=("browser",), deny_domains=(wrong,))


class Counting(Owner):
    """Counts what it is asked; each answer takes a moment."""

    asked = 0

    async def fetch(self) -> Sequence[KeyRecord]:
        self.asked += 1
        known = await super().fetch()
        await asyncio.sleep(0.02)
        return known


async def test_who_asks_while_a_fetch_is_on_its_way_shares_the_next_one() -> None:
    owner = Counting()
    ring = KeyRing(owner.fetch)
    first = asyncio.ensure_future(ring.refresh())
    await asyncio.sleep(0.01)
    key, record = new_key("llm")
    owner.records.append(record)
    assert await asyncio.gather(*(ring.refresh() for _ in range(5))) == [True] * 5
    assert ring.check(key, "llm")
    assert await first
    assert owner.asked == 2


async def test_a_key_made_a_moment_ago_is_fetched_before_it_is_refused() -> None:
    owner = Counting()
    ring = KeyRing(owner.fetch)
    await ring.refresh()
    key, record = new_key("llm")
    owner.records.append(record)
    await ring.catch_up(key)
    assert ring.check(key, "llm")


async def test_unknown_keys_cause_one_fetch_in_a_while_and_known_ones_none() -> None:
    key, record = new_key("llm")
    owner = Counting(record)
    ring = KeyRing(owner.fetch)
    await ring.refresh()
    await asyncio.gather(*(ring.catch_up(f"ab_{n}") for n in range(50)), ring.catch_up(key))
    assert owner.asked == 2


async def test_a_ring_that_cannot_ask_says_so_and_makes_no_unknown_key_wait() -> None:
    owner = Counting()
    ring = KeyRing(owner.fetch)
    await ring.refresh()
    owner.away = True
    assert not await ring.refresh()
    await ring.catch_up("ab_x")
    assert owner.asked == 2


async def test_a_snapshot_that_cannot_be_written_refuses_nobody_and_is_told(
    tmp_path: Path,
) -> None:
    key, record = new_key("llm")
    folder = tmp_path / "state"
    folder.write_text("no folder can be made here")
    ring = KeyRing(Owner(record).fetch, folder / "keys.json")
    assert await ring.refresh()
    assert ring.check(key, "llm")
    assert ring.snapshot_error is not None
    folder.unlink()
    await ring.refresh()
    assert ring.snapshot_error is None
    assert (folder / "keys.json").exists()
