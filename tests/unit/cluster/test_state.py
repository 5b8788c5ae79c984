"""The provider's memory: ids are never used twice, and the file is whole at any moment."""

import threading
from pathlib import Path

import pytest

from autobot.cluster.state import Nodes, StateFile


def test_each_launch_of_an_address_has_an_id_of_its_own(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    ids: list[str] = []
    for _ in range(3):
        with state.changing() as nodes:
            node = nodes.launch("172.16.168.22", "npu", {}, 0.0)
            ids.append(node.id)
        with state.changing() as nodes:
            nodes.change(node.id, state="terminated")
    assert ids == ["172.16.168.22-g1", "172.16.168.22-g2", "172.16.168.22-g3"]


def test_another_process_reads_what_was_written(tmp_path: Path) -> None:
    with StateFile(tmp_path / "state.json").changing() as nodes:
        node = nodes.launch("172.16.168.22", "npu", {"kind": "worker"}, 5.0)
    again = StateFile(tmp_path / "state.json").read()
    assert again.nodes == {node.id: node}
    assert again.nodes[node.id].matches({"kind": "worker"})
    assert not again.nodes[node.id].matches({"kind": "head"})


def test_a_failed_change_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    with state.changing() as nodes:
        nodes.launch("172.16.168.22", "npu", {}, 0.0)
    before = (tmp_path / "state.json").read_bytes()

    def fail() -> None:
        with state.changing() as nodes:
            nodes.launch("172.16.168.23", "redis", {}, 0.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "state.json").read_bytes() == before


def test_changes_of_many_threads_are_all_kept(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")

    def launch(last: int) -> None:
        with state.changing() as nodes:
            nodes.launch(f"10.0.0.{last}", "llm", {}, 0.0)

    threads = [threading.Thread(target=launch, args=(last,)) for last in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(state.read().nodes) == 20


def test_a_lost_node_still_holds_its_vm() -> None:
    nodes = Nodes()
    node = nodes.launch("172.16.168.22", "npu", {}, 0.0)
    nodes.change(node.id, state="lost")
    assert [held.address for held in nodes.alive()] == ["172.16.168.22"]
