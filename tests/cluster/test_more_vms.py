"""A room with two VMs: one more line in cluster.yaml, and either VM may be lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import running_lab
from tests.cluster.lab.lab import ROOMS
from tests.cluster.sixvms import SixVms, wait_for

SECOND = "172.16.168.26"
FIRST_URL, SECOND_URL = f"http://{ROOMS['npu']}:8081/health", f"http://{SECOND}:8081/health"

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SixVms]:
    with running_lab("c", rooms={**ROOMS, "npu2": SECOND}) as lab:
        made = SixVms(lab, tmp_path_factory.mktemp("operator"))
        made.prepare()
        add_address(made.checkout / "cluster.yaml", "npu", SECOND)
        made.up()
        made.wait_until_ok(120)
        yield made


def add_address(file: Path, room: str, address: str) -> None:
    config = yaml.safe_load(file.read_text())
    config["provider"]["rooms"][room]["addresses"].append(address)
    file.write_text(yaml.safe_dump(config))


def embeds(cluster: SixVms) -> bool:
    answer = cluster.post("/v1/embeddings", {"model": "default", "input": "which one?"})
    return "data" in answer


def test_both_vms_of_a_room_serve_and_are_counted(seven: SixVms) -> None:
    # The room is ok as soon as each application answers, from whichever VM.
    for url in (FIRST_URL, SECOND_URL):
        wait_for(lambda url=url: seven.get(url)[0] == 200, 60, seven.why)
    # Five applications on two VMs; Serve is asked every ten seconds while all is well.
    wait_for(lambda: seven.health()["rooms"]["npu"]["replicas"] == 10, 60, seven.why)
    assert all(embeds(seven) for _ in range(10))
    assert nodes(seven) == 2


def nodes(cluster: SixVms) -> int:
    """Living nodes of the room: `ray status` goes on counting a VM that is only switched off."""
    status, body = cluster.get(f"http://{ROOMS['main']}:8001/api/cluster")
    assert status == 200, body
    found = json.loads(body)["nodes"]
    return sum(node["state"] == "alive" and "npu" in node["rooms"] for node in found)


def test_one_of_two_vms_may_be_lost_and_serves_again_after_a_restart_of_the_room(
    seven: SixVms,
) -> None:
    with seven.traffic(FIRST_URL) as found:
        vm = seven.lab.vm("npu2")
        vm.power_off()
        wait_for(lambda: nodes(seven) == 1, 60, seven.why)
        wait_for(lambda: all(embeds(seven) for _ in range(10)), 60, seven.why)
        vm.power_on()
        wait_for(lambda: nodes(seven) == 2, 240, seven.why)
        seven.wait_until_ok(120)
    ((answers, failures, first),) = found.values()
    assert answers
    assert failures == 0, first
    # Serve moved the lost VM's replicas to the other and leaves them there.
    seven.ray("exec", "cluster.yaml", "autobot restart npu")
    wait_for(lambda: seven.get(SECOND_URL)[0] == 200, 180, seven.why)
