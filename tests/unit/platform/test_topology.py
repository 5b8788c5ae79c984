"""`cluster.yaml` is the one source of the rooms, and what is wrong with it explains itself."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from autobot.errors import SetupError
from autobot.manifests import rooms
from autobot.platform.topology import CHECKOUT, Topology, load_topology
from tests.unit.cluster.configs import config, topology

ROOMS = tuple(rooms())


def test_the_checkouts_own_file_declares_the_six_rooms_in_order() -> None:
    rooms = load_topology(Path("cluster.yaml").absolute()).rooms
    assert tuple(rooms) == ROOMS
    assert {name: room.addresses for name, room in rooms.items()} == {
        name: (f"172.16.168.{20 + place}",) for place, name in enumerate(ROOMS)
    }
    ports = [room.port for room in rooms.values()]
    assert ports == [8001, 5173, 8081, 6379, 8080, 3000]
    assert all(room.resources == {name: 1.0} for name, room in rooms.items())


def test_another_vm_of_a_room_is_one_more_line() -> None:
    two = topology(npu={"port": 8081, "addresses": ["172.16.168.22", "172.16.168.32"]})
    assert two.rooms["npu"].addresses == ("172.16.168.22", "172.16.168.32")
    assert two.room_at("172.16.168.32") == "npu"


@pytest.mark.parametrize(
    ("rooms", "words"),
    [
        ({"npu": {"addresses": ["172.16.168.20"]}}, "172.16.168.20 is declared twice"),
        ({"attic": {"addresses": ["172.16.168.30"]}}, "Unknown room 'attic'"),
        ({"llm": None}, "Room 'llm' has no VM"),
        ({"llm": {"addresses": []}}, "Room 'llm' has no VM"),
        ({"llm": {"addresses": "172.16.168.24"}}, "must be a list"),
        ({"llm": {"addresses": ["172.16.168"]}}, "'172.16.168' is not an IPv4 address"),
        ({"llm": {"addresses": ["llm.example"]}}, "'llm.example' is not an IPv4 address"),
        (
            {"frontend": {"addresses": ["172.16.168.21", "172.16.168.31"]}},
            "Room 'frontend' has 2 VMs; it may have one",
        ),
        ({"npu": {"addresses": ["172.16.168.22"], "port": 70000}}, "'70000' is not a TCP port"),
        (
            {"npu": {"addresses": ["172.16.168.22"], "resources": {"llm": 1}}},
            "must offer its own resource 'npu'",
        ),
    ],
)
def test_a_wrong_room_is_refused_with_its_cause_and_a_remedy(
    rooms: dict[str, Any], words: str
) -> None:
    with pytest.raises(SetupError) as caught:
        topology(**rooms)
    assert words in caught.value.detail
    assert caught.value.remedy


def test_a_missing_key_file_is_named_with_the_command_that_makes_one(tmp_path: Path) -> None:
    wrong = config()
    wrong["auth"]["ssh_private_key"] = str(tmp_path / "nowhere")
    with pytest.raises(SetupError, match="nowhere is missing") as caught:
        Topology.from_config(wrong, Path("cluster.yaml")).check_key()
    assert "ssh-keygen" in caught.value.remedy


def test_a_network_that_is_none_is_refused() -> None:
    wrong = config()
    wrong["provider"]["admin_networks"] = ["172.16.168.0/33"]
    with pytest.raises(SetupError, match="admin_networks"):
        Topology.from_config(wrong, Path("cluster.yaml"))


@pytest.mark.parametrize("text", ["rooms: [", "just words", ""])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(SetupError):
        load_topology(tmp_path / "cluster.yaml")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        load_topology(tmp_path / "cluster.yaml")


def test_the_environment_chooses_the_file_before_the_home_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("cluster.yaml").read_text()
    (tmp_path / "cluster.yaml").write_text(text.replace("autobot\n\nprovider", "own\n\nprovider"))
    (tmp_path / "other.yaml").write_text(text.replace("autobot\n\nprovider", "told\n\nprovider"))
    monkeypatch.delenv("AUTOBOT_CLUSTER_FILE", raising=False)
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    assert load_topology().name == "own"
    monkeypatch.setenv("AUTOBOT_CLUSTER_FILE", str(tmp_path / "other.yaml"))
    assert load_topology().name == "told"


def test_a_room_that_vms_do_not_get_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    own = tmp_path / "rooms" / "greeter"
    own.mkdir(parents=True)
    shutil.copy(CHECKOUT / "tests/e2e/platform/greeter/manifest.yaml", own)
    config = yaml.safe_load((CHECKOUT / "cluster.yaml").read_text())
    config["provider"]["rooms"]["greeter"] = {"addresses": ["172.16.168.26"]}
    with pytest.raises(SetupError, match="VMs get the checkout alone"):
        Topology.from_config(config, tmp_path / "cluster.yaml")
