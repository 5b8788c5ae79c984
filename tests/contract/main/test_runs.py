"""What every store of runs keeps; the fake is held to it as Redis is."""

import asyncio
import time
from typing import Any

import pytest

from autobot.contracts.runs import (
    LONGEST_BLOB,
    LONGEST_ENTRY,
    MOST_ASKS,
    FakeRuns,
    Lease,
    NewRun,
    Release,
    Runs,
)
from autobot.errors import BadRequest, TooLarge
from tests.contract.main.conftest import MakeRuns

DEADLINE_S = 20


def new(name: str, automation: str = "news", **more: Any) -> NewRun:
    return NewRun(name, automation, (b'{"kind":"created"}',), **more)


async def claim_one(runs: Runs) -> Lease:
    """Claim the only due run, waiting for it."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        leases = (await runs.claim(1)).leases
        if leases:
            return leases[0]
        await asyncio.sleep(0.02)
    raise AssertionError("no run fell due")


async def prune(runs: Runs, limit: int = 100) -> int:
    """Delete what is old, after its end was followed up."""
    await runs.acknowledge([run.id for run in await runs.ends()])
    return await runs.prune(limit)


async def bodies(runs: Runs, run: str) -> list[bytes]:
    return [entry.body for entry in await runs.read(run)]


async def test_a_run_is_created_once_and_due_at_once(runs: Runs) -> None:
    assert await runs.create(new("a")) == "ok"
    assert await runs.create(NewRun("a", "other", (b"else",))) == "there"
    made = await runs.get("a")
    assert made is not None
    assert (made.automation, made.state, made.seq, made.token) == ("news", "queued", 1, 0)
    assert made.due == made.created
    assert made.ended is None
    assert await bodies(runs, "a") == [b'{"kind":"created"}']
    assert [lease.run for lease in (await runs.claim(5)).leases] == ["a"]
    assert await runs.get("b") is None


async def test_a_run_whose_instant_has_not_come_is_not_claimed(runs: Runs) -> None:
    now = (await runs.claim(1)).now
    await runs.create(new("later", due=now + 3_600_000))
    await runs.create(new("soon", due=now + 100))
    assert (await claim_one(runs)).run == "soon"
    assert (await runs.claim(5)).leases == ()


async def test_names_that_would_be_other_keys_are_refused(runs: Runs) -> None:
    for name in ("", "a:log", "a b", "ä", ".x", "x" * 101, "a\n"):
        with pytest.raises(BadRequest):
            new(name)
        with pytest.raises(BadRequest):
            new("a", name)


async def test_the_store_says_what_time_it_is(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    told = (await runs.claim(1)).now
    assert abs(told - time.time_ns() / 1e6) < 5_000
    await runs.create(new("a", due=told + 60_000))
    monkeypatch.setattr(time, "time", lambda: told / 1000 + 3_600)
    assert (await runs.claim(5)).leases == ()


async def test_entries_are_numbered_and_verbatim(runs: Runs) -> None:
    await runs.create(new("a"))
    lease = await claim_one(runs)
    odd = [b"null", b"[]", b'"\x00"', "Rīga €\U0001f600".encode(), b"\x00\xff\xfe", b"", b"-1"]
    assert await runs.append(lease, 2, odd) == "ok"
    entries = await runs.read("a", after=1)
    assert [entry.body for entry in entries] == odd
    assert [entry.seq for entry in entries] == list(range(2, 9))
    assert {entry.token for entry in entries} == {lease.token}
    assert all(abs(entry.at - time.time_ns() / 1e6) < 5_000 for entry in entries)
    assert [entry.seq for entry in await runs.read("a", after=3, limit=2)] == [4, 5]
    assert await runs.read("none") == []


async def test_an_append_that_is_repeated_is_written_once(runs: Runs) -> None:
    await runs.create(new("a"))
    lease = await claim_one(runs)
    assert await runs.append(lease, 2, [b"x", b"y"]) == "ok"
    assert await runs.append(lease, 2, [b"x", b"y"]) == "duplicate"
    assert await runs.append(lease, 4, [b"z"], Release("succeeded")) == "ok"
    assert await runs.append(lease, 4, [b"z"], Release("succeeded")) == "duplicate"
    assert await bodies(runs, "a") == [b'{"kind":"created"}', b"x", b"y", b"z"]
    assert await runs.append(lease, 5, [b"more"]) == "fenced"


async def test_a_release_that_is_repeated_changes_nothing(runs: Runs) -> None:
    await runs.create(new("a"))
    lease = await claim_one(runs)
    assert await runs.append(lease, 2, [], Release("waiting")) == "ok"
    assert await runs.append(lease, 2, [], Release("waiting")) == "duplicate"
    shown = await runs.get("a")
    assert shown is not None
    assert (shown.state, shown.due) == ("waiting", None)
    assert (await runs.claim(5)).leases == ()
    assert (await runs.renew([lease])).last == {}


async def test_an_entry_has_its_number_or_is_not_written(runs: Runs) -> None:
    await runs.create(new("a"))
    lease = await claim_one(runs)
    assert await runs.append(lease, 1, [b"x"]) == "behind"
    assert await runs.append(lease, 3, [b"x"]) == "behind"
    assert await runs.ask("a", "cancel-1", b"stop") == "ok"
    assert await runs.append(lease, 2, [b"x"]) == "behind"
    assert await runs.append(lease, 2, [], Release("waiting")) == "behind"
    assert await runs.append(lease, 3, [b"x"]) == "ok"
    assert await bodies(runs, "a") == [b'{"kind":"created"}', b"stop", b"x"]


async def test_two_claimers_at_once_get_each_run_once(make_runs: MakeRuns) -> None:
    first = make_runs(30)
    second = first if isinstance(first, FakeRuns) else make_runs(30)
    stores = [first, second]
    for number in range(20):
        await stores[0].create(new(f"r{number}"))
    claims = await asyncio.gather(*(store.claim(7) for store in stores * 3))
    names = [lease.run for claim in claims for lease in claim.leases]
    assert len(names) == len(set(names)) == 20


async def test_a_stale_lease_appends_nothing(make_runs: MakeRuns) -> None:
    runs = make_runs(0.2)
    await runs.create(new("a"))
    stale = await claim_one(runs)
    fresh = await claim_one(runs)
    assert fresh.token > stale.token
    assert await runs.append(stale, 2, [b"late"]) == "fenced"
    assert await runs.append(stale, 2, [], Release("succeeded")) == "fenced"
    assert await runs.put_blob(stale, "x", b"late") == "fenced"
    assert (await runs.renew([stale])).last == {}
    assert await runs.append(fresh, 2, [b"mine"]) == "ok"
    assert await runs.append(stale, 2, [b"mine"]) == "fenced"
    assert await bodies(runs, "a") == [b'{"kind":"created"}', b"mine"]


async def test_a_lease_that_is_renewed_lasts(make_runs: MakeRuns) -> None:
    runs = make_runs(0.6)
    await runs.create(new("a"))
    lease = await claim_one(runs)
    until = time.monotonic() + 1.8
    while time.monotonic() < until:
        renewed = await runs.renew([lease, Lease("none", 1)])
        assert renewed.last == {"a": 1}
        assert (await runs.claim(5)).leases == ()
        await asyncio.sleep(0.05)
    assert (await claim_one(runs)).token > lease.token


async def test_what_is_asked_is_ordered_kept_once_and_wakes_the_run(runs: Runs) -> None:
    assert await runs.ask("none", "c", b"x") == "missing"
    await runs.create(new("a"))
    lease = await claim_one(runs)
    assert await runs.ask("a", "one", b"pause") == "ok"
    assert await runs.ask("a", "one", b"pause") == "duplicate"
    assert (await runs.claim(5)).leases == (), "a worker has it and reads what was asked"
    assert (await runs.renew([lease])).last == {"a": 2}
    assert await runs.append(lease, 3, [], Release("paused")) == "ok"
    assert (await runs.claim(5)).leases == ()
    assert await runs.ask("a", "two", b"cancel") == "ok"
    again = await claim_one(runs)
    entries = await runs.read("a")
    assert [(entry.seq, entry.token, entry.body) for entry in entries[1:]] == [
        (2, 0, b"pause"),
        (3, 0, b"cancel"),
    ]
    assert await runs.append(again, 4, [b"end"], Release("cancelled")) == "ok"
    assert await runs.ask("a", "three", b"x") == "ended"
    assert await runs.ask("a", "two", b"cancel") == "duplicate"


async def test_asks_of_one_run_are_bounded_but_not_its_answers_nor_its_end(runs: Runs) -> None:
    await runs.create(new("a"))
    for number in range(MOST_ASKS):
        assert await runs.ask("a", f"answer-{number}", b"x", "answer") == "ok"
        assert await runs.ask("a", str(number), b"x") == "ok"
    assert await runs.ask("a", "more", b"x") == "full"
    assert await runs.ask("a", "answer", b"x", "answer") == "ok"
    assert await runs.ask("a", "cancel", b"x", "end") == "ok"
    assert await runs.ask("a", "cancel", b"x", "end") == "duplicate"


async def test_nothing_of_an_automation_on_hold_begins(runs: Runs) -> None:
    """n8n#32527: 50 runs are queued, it is turned off: none starts."""
    await runs.create(new("begun"))
    begun = await claim_one(runs)
    assert await runs.append(begun, 2, [b"x"], Release("waiting", 1)) == "ok"
    for number in range(50):
        await runs.create(new(f"r{number}"))
    await runs.hold("news", True)
    await runs.create(new("late"))
    await runs.create(new("other", "else"))
    leases = (await runs.claim(5)).leases
    assert [lease.run for lease in leases] == ["begun", "other"]
    assert (await runs.claim(5)).leases == ()
    assert await runs.ask("r7", "pause", b"x") == "ok"
    assert (await runs.claim(5)).leases == ()
    assert await runs.ask("r7", "cancel", b"x", "end") == "ok"
    ending = await claim_one(runs)
    assert ending.run == "r7"
    assert await runs.append(ending, 4, [b"end"], Release("cancelled")) == "ok"
    await runs.hold("news", False)
    again = [lease.run for lease in (await runs.claim(99)).leases]
    assert sorted(again) == sorted(["late", *(f"r{n}" for n in range(50) if n != 7)])


async def test_a_run_in_line_leaves_it_to_end_and_for_nothing_else(runs: Runs) -> None:
    for name in ("a", "b", "c"):
        await runs.create(new(name, most_running=1))
        await asyncio.sleep(0.003)
    first = await claim_one(runs)
    assert await runs.ask("b", "pause", b"x") == "ok"
    assert (await runs.claim(5)).leases == ()
    assert await runs.ask("c", "cancel", b"x", "end") == "ok"
    assert (await claim_one(runs)).run == "c"
    assert await runs.append(first, 2, [b"end"], Release("succeeded")) == "ok"
    assert (await claim_one(runs)).run == "b"


async def test_who_leaves_the_line_gives_nobody_a_place(runs: Runs) -> None:
    for name in ("a", "b", "c"):
        await runs.create(new(name, most_running=1))
        await asyncio.sleep(0.003)
    first = await claim_one(runs)
    assert first.run == "a"
    assert await runs.ask("b", "cancel", b"x", "end") == "ok"
    second = await claim_one(runs)
    assert await runs.append(second, 3, [b"end"], Release("cancelled")) == "ok"
    assert (await runs.claim(5)).leases == (), "a has the only place"
    assert await runs.append(first, 2, [b"end"], Release("succeeded")) == "ok"
    assert (await claim_one(runs)).run == "c"


async def test_an_older_hold_comes_too_late(runs: Runs) -> None:
    await runs.hold("news", False, revision=7)
    await runs.hold("news", True, revision=6)
    await runs.create(new("a"))
    assert (await claim_one(runs)).run == "a"
    await runs.hold("news", True, revision=8)
    await runs.create(new("b"))
    assert (await runs.claim(5)).leases == ()


async def test_a_deleted_runs_id_stays_taken_for_its_time(runs: Runs) -> None:
    now = (await runs.claim(1)).now
    await runs.schedule("daily", now - 5)
    (fire,) = await runs.fires()
    for name, taken_s in (("hook", 3_600), ("soon", 1), ("free", 0)):
        await runs.create(new(name, most_kept=0, taken_s=taken_s))
        await end(runs, name)
    assert await prune(runs) == 3
    assert await runs.create(new("free")) == "ok"
    assert await runs.create(new("soon")) == "there"
    assert await runs.create(new("hook")) == "there"
    assert await runs.fire(fire, None, new("hook")) == "there"
    assert await runs.get("hook") is None
    await asyncio.sleep(1.1)
    assert await runs.create(new("soon")) == "ok"
    assert await runs.create(new("hook")) == "there"


async def test_a_run_takes_over_the_large_results_of_another(runs: Runs) -> None:
    await runs.create(new("a", most_kept=0))
    lease = await claim_one(runs)
    await runs.put_blob(lease, "step/1", b"large")
    await runs.append(lease, 2, [b"end"], Release("failed"))
    await runs.create(NewRun("b", "news", (b"x",), blobs_of="a"))
    await runs.create(NewRun("c", "news", (b"x",), blobs_of="none"))
    assert await prune(runs) == 1
    assert await runs.blob("b", "step/1") == b"large"
    assert await runs.blob("c", "step/1") is None


async def test_an_append_makes_the_lease_last(make_runs: MakeRuns) -> None:
    runs = make_runs(0.6)
    await runs.create(new("a"))
    lease = await claim_one(runs)
    for seq in range(2, 6):
        await asyncio.sleep(0.3)
        assert await runs.append(lease, seq, [b"x"]) == "ok"
        assert (await runs.claim(5)).leases == ()


async def test_a_token_is_above_those_of_a_backup(runs: Runs) -> None:
    await runs.create(new("a"))
    claims = await runs.claim(1)
    assert claims.leases[0].token >= claims.now
    await runs.append(claims.leases[0], 2, [], Release("waiting", 1))
    assert (await claim_one(runs)).token > claims.leases[0].token


async def test_a_late_change_of_a_schedule_changes_nothing(runs: Runs) -> None:
    now = (await runs.claim(1)).now
    assert await runs.schedule("daily", now - 9, revision=5) == "ok"
    assert await runs.schedule("daily", now - 8, revision=4) == "stale"
    assert await runs.schedule("daily", now - 7, revision=5) == "ok"
    assert await runs.schedule("daily", now - 6, keep=True) == "ok"
    assert [fire.at for fire in await runs.fires()] == [now - 7]
    assert await runs.schedule("daily", None, revision=6) == "ok"
    assert await runs.schedule("daily", now - 5, revision=5, keep=True) == "stale"
    assert await runs.fires() == []


async def test_a_fire_whose_automation_is_full_is_over_or_stays(runs: Runs) -> None:
    now = (await runs.claim(1)).now
    await runs.schedule("daily", now - 5)
    await runs.create(new("a"))
    (fire,) = await runs.fires()
    run = new("b", most_open=1)
    assert await runs.fire(fire, None, run, again_when_full=True) == "full"
    assert await runs.fires() == [fire]
    assert await runs.fire(fire, now + 60_000, run) == "full"
    assert await runs.fires() == []


async def test_an_automation_has_so_many_open_runs_and_no_more(runs: Runs) -> None:
    for number in range(3):
        assert await runs.create(new(f"r{number}", most_open=3)) == "ok"
    assert await runs.create(new("more", most_open=3)) == "full"
    assert await runs.create(new("r1", most_open=3)) == "there"
    assert await runs.create(new("else", "other", most_open=3)) == "ok"
    lease = next(lease for lease in (await runs.claim(9)).leases if lease.run == "r0")
    assert await runs.append(lease, 2, [b"end"], Release("succeeded")) == "ok"
    assert await runs.create(new("more", most_open=3)) == "ok"


async def test_runs_are_listed_by_automation_and_state(runs: Runs) -> None:
    for name, automation in (("a", "one"), ("b", "two"), ("c", "one")):
        await runs.create(new(name, automation))
        await asyncio.sleep(0.003)
    assert [run.id for run in await runs.list()] == ["c", "b", "a"]
    assert [run.id for run in await runs.list("one")] == ["c", "a"]
    for lease in (await runs.claim(9)).leases:
        if lease.run != "c":
            await runs.append(lease, 2, [], Release("waiting"))
    assert [run.id for run in await runs.list(state="waiting")] == ["b", "a"]
    assert [run.id for run in await runs.list("one", "waiting")] == ["a"]
    assert [run.id for run in await runs.list("one", "queued")] == ["c"]
    assert [run.id for run in await runs.list(limit=2)] == ["c", "b"]
    newest = (await runs.list(limit=1))[0]
    assert [run.id for run in await runs.list(before=(newest.created, ""))] == ["b", "a"]


async def test_a_list_goes_on_where_it_ended_although_runs_have_the_same_instant(
    runs: Runs,
) -> None:
    names = {f"{letter}{number}" for number in range(20) for letter in "aB-"[:2]}
    await asyncio.gather(*(runs.create(new(name)) for name in names))
    seen, cursor = list[str](), None
    while page := await runs.list(before=cursor, limit=7):
        seen += [run.id for run in page]
        cursor = (page[-1].created, page[-1].id)
    assert len(seen) == len(names)
    assert set(seen) == names


async def end(runs: Runs, name: str) -> None:
    lease = next(lease for lease in (await runs.claim(99)).leases if lease.run == name)
    assert await runs.append(lease, 2, [b"end"], Release("failed")) == "ok"


async def test_old_runs_leave_by_number_and_by_age_and_waiting_ones_never(runs: Runs) -> None:
    await runs.create(new("waits"))
    await runs.append(await claim_one(runs), 2, [], Release("waiting"))
    for number in range(5):
        await runs.create(new(f"r{number}", most_kept=2))
        await end(runs, f"r{number}")
        await asyncio.sleep(0.003)
    await runs.create(new("other", "else", kept_s=1))
    await end(runs, "other")
    assert await prune(runs, limit=2) == 2
    assert await prune(runs) == 1
    assert await prune(runs) == 0
    assert [run.id for run in await runs.list()] == ["other", "r4", "r3", "waits"]
    assert await runs.read("r0") == []
    assert await runs.create(new("r0")) == "ok"
    await asyncio.sleep(1.1)
    assert await prune(runs) == 1
    assert {run.id for run in await runs.list()} == {"waits", "r0", "r3", "r4"}
    assert await bodies(runs, "waits") == [b'{"kind":"created"}']


async def test_an_end_is_told_until_it_is_acknowledged_and_deleted_only_then(runs: Runs) -> None:
    assert await runs.ends() == []
    await runs.create(new("goes-on"))
    await runs.append(await claim_one(runs), 2, [], Release("waiting"))
    for name in ("a", "b", "c"):
        await runs.create(new(name, most_kept=0))
        await end(runs, name)
        await asyncio.sleep(0.003)
    assert [run.id for run in await runs.ends(2)] == ["a", "b"]
    await runs.acknowledge(["b", "b", "none", "goes-on"])
    await runs.acknowledge([])
    assert [run.id for run in await runs.ends()] == ["a", "c"]
    assert await runs.prune() == 1
    assert await runs.get("b") is None
    assert await runs.get("goes-on") is not None
    await runs.acknowledge(["a", "c"])
    assert await runs.prune() == 2
    assert await runs.ends() == []


async def test_a_large_result_is_kept_as_long_as_its_run(runs: Runs) -> None:
    await runs.create(new("a", most_kept=0))
    lease = await claim_one(runs)
    data = b"\x00\xff" * (LONGEST_BLOB // 2)
    assert await runs.put_blob(lease, "step/0", data) == "ok"
    assert await runs.blob("a", "step/0") == data
    assert await runs.blob("a", "other") is None
    await runs.append(lease, 2, [b"end"], Release("succeeded"))
    assert await prune(runs) == 1
    assert await runs.blob("a", "step/0") is None


async def test_what_is_larger_than_the_bounds_is_refused(runs: Runs) -> None:
    await runs.create(new("a"))
    lease = await claim_one(runs)
    with pytest.raises(TooLarge):
        await runs.put_blob(lease, "x", bytes(20_000_000))
    with pytest.raises(TooLarge):
        await runs.append(lease, 2, [bytes(LONGEST_ENTRY + 1)])
    with pytest.raises(TooLarge):
        await runs.ask("a", "x", bytes(LONGEST_ENTRY + 1))
    assert await runs.blob("a", "x") is None
    assert await runs.append(lease, 2, [bytes(LONGEST_ENTRY)]) == "ok"


async def test_a_fires_run_is_made_by_one_of_two_replicas_that_see_it(runs: Runs) -> None:
    now = (await runs.claim(1)).now
    await runs.schedule("daily", now + 3_600_000)
    for _ in range(10):
        await runs.schedule("daily", now - 5)
    await runs.schedule("later", now + 3_600_000)
    (fire,) = await runs.fires()
    assert (fire.schedule, fire.at) == ("daily", now - 5)
    outcomes = await asyncio.gather(
        *(runs.fire(fire, now + 60_000, new(f"fire-{fire.at}")) for _ in range(2))
    )
    assert sorted(outcomes) == ["ok", "there"]
    assert await runs.fires() == []
    assert len(await runs.list()) == 1


async def test_a_fire_can_be_left_out_and_a_schedule_removed(runs: Runs) -> None:
    now = (await runs.claim(1)).now
    await runs.schedule("daily", now - 5)
    (fire,) = await runs.fires()
    assert await runs.fire(fire, now - 3, None) == "ok"
    assert await runs.fire(fire, now - 2, None) == "stale"
    (fire,) = await runs.fires()
    await runs.schedule("daily", None)
    assert await runs.fire(fire, now, new("a")) == "stale"
    assert await runs.list() == []
    await runs.schedule("once", now - 1)
    (fire,) = await runs.fires()
    assert await runs.fire(fire, None, new("a")) == "ok"
    assert await runs.fires() == []


async def test_two_mains_fire_each_tick_once(runs: Runs) -> None:
    """n8n#7045: two replicas, 60 ticks, 60 runs."""
    now = (await runs.claim(1)).now
    await runs.schedule("tick", now - 60)

    async def replica() -> None:
        while due := await runs.fires():
            for fire in due:
                following = fire.at + 1 if fire.at < now - 1 else None
                await runs.fire(fire, following, new(f"tick-{fire.at}"))

    await asyncio.gather(replica(), replica())
    assert len({run.id for run in await runs.list()}) == len(await runs.list()) == 60
