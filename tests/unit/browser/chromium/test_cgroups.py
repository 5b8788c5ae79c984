"""Which control groups are made, on trees that look like a systemd VM's, a container's and an old
machine's. A tree of plain files has no kernel behind it: what is read back is what was written.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.browser.chromium.isolation.cgroups import OURS, Bounds, Cgroup, prepare

BOUNDS = Bounds(memory=3 << 30, tasks=4096, cpus=1.8)
HELD = {"memory_mib": 3072, "tasks": 4096, "cpus": 1.8}
UNIT = "system.slice/autobot-ray.service"
MINE = f"{OURS}{os.getpid()}"


def version_2(root: Path, here: str = UNIT) -> Path:
    """A tree of version 2; return the replica's group. Nothing runs in the unit itself."""
    (root / "cgroup.controllers").write_text("cpu memory pids")
    group = root / here
    group.mkdir(parents=True)
    for each in (group, root / UNIT):
        (each / "cgroup.procs").write_text("")
        (each / "cgroup.subtree_control").write_text("")
    return group


def always(unit: Path) -> bool:
    return True


def test_a_delegated_unit_gets_a_group_with_all_three_bounds(tmp_path: Path) -> None:
    unit = version_2(tmp_path)
    cgroup = prepare(BOUNDS, root=tmp_path, own=f"0::/{UNIT}\n", may=lambda asked: asked == unit)
    group = unit / MINE
    assert cgroup.groups == (group,)
    assert (group / "memory.max").read_text() == str(3 << 30)
    assert (group / "pids.max").read_text() == "4096"
    assert (group / "cpu.max").read_text() == "180000 100000"
    assert (unit / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert (cgroup.holds, cgroup.why) == (HELD, "")


def test_what_runs_in_the_unit_moves_aside_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = version_2(tmp_path)
    procs = unit / "cgroup.procs"
    procs.write_text("11\n12\n")
    moved: list[str] = []
    write: Callable[..., int] = Path.write_text

    def kernel(path: Path, text: str) -> int:
        """Entering a group leaves the other; the unit may have no process when it is divided."""
        if path == unit / "rest" / "cgroup.procs":
            moved.append(text)
            write(procs, procs.read_text().replace(f"{text}\n", ""))
        if path == unit / "cgroup.subtree_control" and procs.read_text():
            raise OSError(16, "Device or resource busy")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", kernel)
    cgroup = prepare(BOUNDS, root=tmp_path, own=f"0::/{UNIT}\n", may=always)
    assert moved == ["11", "12"]
    assert cgroup.holds == HELD


def test_the_next_replica_of_a_divided_unit_finds_its_place_beside_the_rest(tmp_path: Path) -> None:
    version_2(tmp_path, f"{UNIT}/rest")
    stale, living = tmp_path / UNIT / f"{OURS}999999999", tmp_path / UNIT / f"{OURS}1"
    stale.mkdir()
    living.mkdir()
    cgroup = prepare(BOUNDS, root=tmp_path, own=f"0::/{UNIT}/rest\n", may=always)
    assert cgroup.groups == (tmp_path / UNIT / MINE,)
    assert not stale.exists()
    assert living.exists()


def test_a_unit_that_is_not_delegated_is_left_alone_and_the_reason_told(tmp_path: Path) -> None:
    unit = version_2(tmp_path)
    before = sorted(unit.rglob("*"))
    cgroup = prepare(BOUNDS, root=tmp_path, own=f"0::/{UNIT}\n")
    assert "not delegated" in str(cgroup.told(1)["missing"])
    assert cgroup.groups == ()
    assert sorted(unit.rglob("*")) == before


def test_version_1_gets_a_group_in_each_tree(tmp_path: Path) -> None:
    for name in ("memory/box", "pids", "cpu"):
        (tmp_path / name).mkdir(parents=True)
    own = "9:name=systemd:/\n8:pids:/\n4:memory:/box\n1:cpu:/\n0::/\n"
    cgroup = prepare(BOUNDS, root=tmp_path, own=own)
    trees = ("memory/box", "pids", "cpu")
    assert cgroup.groups == tuple(tmp_path / name / MINE for name in trees)
    assert cgroup.holds == HELD


def test_controllers_that_share_a_directory_are_entered_once(tmp_path: Path) -> None:
    for name in ("memory", "pids", "cpu,cpuacct"):
        (tmp_path / name).mkdir()
    cgroup = prepare(BOUNDS, root=tmp_path, own="3:cpu,cpuacct:/\n2:pids:/\n1:memory:/\n")
    assert cgroup.groups[2] == tmp_path / "cpu,cpuacct" / MINE


@pytest.mark.parametrize("own", ["0::/\n", "9:name=systemd:/\n4:memory:/\n0::/\n", ""])
def test_a_machine_without_them_is_told_as_one_and_the_browser_starts(
    tmp_path: Path, own: str
) -> None:
    (tmp_path / "memory").mkdir()
    cgroup = prepare(BOUNDS, root=tmp_path, own=own)
    assert "no control groups" in str(cgroup.told(1)["missing"])
    assert cgroup.entrance() == ""


def test_a_tree_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    own = "3:cpu:/\n2:pids:/\n1:memory:/absent\n"
    cgroup = prepare(BOUNDS, root=tmp_path, own=own)
    assert "no control group can be made" in cgroup.why


def test_bounds_are_told_only_of_a_process_that_is_inside(tmp_path: Path) -> None:
    cgroup = Cgroup((Path("/x/memory") / MINE, Path("/x/pids") / MINE), HELD)
    (tmp_path / "7").mkdir()
    listed = tmp_path / "7" / "cgroup"
    listed.write_text(f"8:pids:/{MINE}\n4:memory:/box/{MINE}\n1:cpu:/\n")
    assert cgroup.told(7, tmp_path) == HELD
    listed.write_text(f"8:pids:/{MINE}\n4:memory:/box\n")
    assert "not in its control groups" in str(cgroup.told(7, tmp_path)["missing"])
    assert "not in its control groups" in str(cgroup.told(8, tmp_path)["missing"])


def test_the_entrance_is_shell_that_writes_the_process_into_each_group(tmp_path: Path) -> None:
    groups = (tmp_path / "one", tmp_path / "with space")
    for group in groups:
        group.mkdir()
    script = Cgroup(groups).entrance() + "echo $$"
    pid = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert {(group / "cgroup.procs").read_bytes() for group in groups} == {pid}
