"""The node provider on the head: it waits for lost VMs and replaces only what will not return."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.tags import (
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

from autobot.cluster import provider as module
from autobot.cluster.bootstrap import fill
from autobot.cluster.provider import AutoBotNodeProvider
from tests.unit.cluster.configs import config, topology

WORKER = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_USER_NODE_TYPE: "npu"}
HEAD_ID = "172.16.168.20-g7"


class Network:
    """What answers: (address, port) pairs."""

    def __init__(self) -> None:
        self.open: set[tuple[str, int]] = set()

    def __call__(self, address: str, port: int) -> bool:
        return (address, port) in self.open


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_CLOUD_INSTANCE_ID", HEAD_ID)
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(config()))
    return tmp_path


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses of VMs that were told to stop; nothing is sent to them."""
    told: list[str] = []

    def release(addresses: list[str], *_: object) -> list[str]:
        told.extend(addresses)
        return []

    monkeypatch.setattr(module, "release", release)
    return told


@pytest.fixture
def provider(home: Path, network: Network, released: list[str]) -> AutoBotNodeProvider:
    made = AutoBotNodeProvider({"on_head": True}, "autobot")
    made._connects = network
    return made


def launched(provider: AutoBotNodeProvider) -> str:
    (node_id,) = provider.create_node({}, WORKER, 1)
    provider.set_node_tags(node_id, {TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE})
    return node_id


def test_a_launched_node_maps_back_to_its_address(provider: AutoBotNodeProvider) -> None:
    node_id = launched(provider)
    assert node_id == "172.16.168.22-g1"
    assert provider.internal_ip(node_id) == provider.external_ip(node_id) == "172.16.168.22"
    assert provider.non_terminated_nodes(WORKER) == [node_id]
    assert provider.is_running(node_id)


def test_the_head_is_listed_under_the_id_it_was_launched_with(
    provider: AutoBotNodeProvider,
) -> None:
    assert provider.non_terminated_nodes({TAG_RAY_NODE_KIND: "head"}) == [HEAD_ID]


def test_no_second_node_is_made_of_a_vm_in_service(provider: AutoBotNodeProvider) -> None:
    launched(provider)
    with pytest.raises(NodeLaunchException):
        provider.create_node({}, WORKER, 1)


def test_a_vm_that_is_off_is_awaited_and_returns_under_its_id(
    provider: AutoBotNodeProvider, network: Network, clock: Callable[[float], None]
) -> None:
    node_id = launched(provider)
    provider.terminate_node(node_id)
    clock(3600)
    assert node_id in provider.non_terminated_nodes({})
    network.open = {("172.16.168.22", 22), ("172.16.168.22", 52370)}
    assert node_id in provider.non_terminated_nodes({})
    assert provider._state.read().nodes[node_id].state == "running"


def test_a_reinstalled_vm_is_launched_anew_under_another_id(
    provider: AutoBotNodeProvider, network: Network, clock: Callable[[float], None]
) -> None:
    node_id = launched(provider)
    provider.terminate_node(node_id)
    network.open = {("172.16.168.22", 22)}
    assert node_id in provider.non_terminated_nodes({}), "it may still be booting"
    clock(module.REINSTALLED_AFTER_S + 1)
    assert node_id not in provider.non_terminated_nodes({})
    assert launched(provider) == "172.16.168.22-g2"


def test_a_vm_that_went_off_again_is_given_its_time_anew(
    provider: AutoBotNodeProvider, network: Network, clock: Callable[[float], None]
) -> None:
    node_id = launched(provider)
    provider.terminate_node(node_id)
    network.open = {("172.16.168.22", 22)}
    provider.non_terminated_nodes({})
    network.open = set()
    provider.non_terminated_nodes({})
    clock(module.REINSTALLED_AFTER_S + 1)
    network.open = {("172.16.168.22", 22)}
    assert node_id in provider.non_terminated_nodes({})


def test_a_node_whose_set_up_failed_is_tried_again_at_once(provider: AutoBotNodeProvider) -> None:
    (node_id,) = provider.create_node({}, WORKER, 1)
    provider.set_node_tags(node_id, {TAG_RAY_NODE_STATUS: "update-failed"})
    provider.terminate_node(node_id)
    assert provider.is_terminated(node_id)
    assert launched(provider) == "172.16.168.22-g2"


def test_a_vm_that_left_the_topology_is_stopped_once(
    provider: AutoBotNodeProvider, home: Path, released: list[str]
) -> None:
    node_id = launched(provider)
    moved = config(npu={"port": 8081, "addresses": ["172.16.168.32"]})
    (home / "cluster.yaml").write_text(yaml.safe_dump(moved))
    assert node_id not in provider.non_terminated_nodes({})
    assert node_id not in provider.non_terminated_nodes({})
    assert released == ["172.16.168.22"]
    assert launched(provider) == "172.16.168.32-g1"


def test_a_raw_provider_section_makes_no_secrets(home: Path) -> None:
    """`ray get-head-ip` brings the file as it is: nothing may be made, and nothing removed."""
    raw: dict[str, Any] = config()["provider"]
    AutoBotNodeProvider(raw, "autobot")
    assert not (home / "clusters" / "autobot" / "secrets").exists()
    assert Path("/dev/null").is_char_device()


def test_each_room_is_a_node_type_with_as_many_nodes_as_vms() -> None:
    two = {"port": 8081, "addresses": ["172.16.168.22", "172.16.168.32"]}
    filled = fill(config(npu=two), topology(npu=two))
    types = filled["available_node_types"]
    counts = {name: (kind["min_workers"], kind["max_workers"]) for name, kind in types.items()}
    # Twice as many at most: a killed Ray process counts until it is missed, beside the next one.
    one = (1, 2)
    assert counts == {
        "main": (0, 0), "frontend": one, "npu": (2, 4), "redis": one, "llm": one, "browser": one,
    }  # fmt: skip
    assert types["npu"]["resources"] == {"npu": 1.0}
    assert filled["max_workers"] == 12
    assert filled["head_node_type"] == "main"


def test_the_operators_command_builds_the_page_before_the_code_is_staged(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def build_web() -> bool:
        done.append("built")
        return True

    monkeypatch.setattr(module, "is_built", lambda: "built" in done)
    monkeypatch.setattr(module, "build_web", build_web)
    monkeypatch.setattr(module, "stage_code", lambda _: done.append("staged"))
    monkeypatch.setattr(module.atexit, "register", lambda *_: None)
    filled = fill(config(), topology())
    for _ in range(2):
        AutoBotNodeProvider(filled["provider"], "autobot")
    assert done == ["built", "staged", "staged"]
