"""A room with two VMs: one more line in cluster.yaml, and either VM may be lost."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import running_lab
from tests.cluster.lab.lab import ROOMS
from tests.cluster.sixvms import SERVING, SixVms, wait_for

NPU2, BROWSER2 = "172.16.168.26", "172.16.168.27"
NPU_URLS = [f"http://{address}:8081/health" for address in (ROOMS["npu"], NPU2)]
MAIN = f"http://{ROOMS['main']}:8001"
FIRST, SECOND = (f"http://{address}:3000" for address in (ROOMS["browser"], BROWSER2))
SESSIONS = "/api/browser/sessions"

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SixVms]:
    with running_lab("c", rooms={**ROOMS, "npu2": NPU2, "browser2": BROWSER2}) as lab:
        made = SixVms(lab, tmp_path_factory.mktemp("operator"))
        made.prepare()
        add_address(made.checkout / "cluster.yaml", "npu", NPU2)
        made.up()
        made.wait_until_ok(120)
        yield made


@pytest.fixture(scope="module")
def eight(seven: SixVms) -> SixVms:
    """With a second browser VM, added while the others run."""
    add_address(seven.checkout / "cluster.yaml", "browser", BROWSER2)
    untouched = [url for room, url in SERVING.items() if room != "browser"]
    before = {room: seven.replicas(room) for room in ("main", "npu", "llm", "redis", "frontend")}
    with seven.traffic(*untouched) as found:
        seven.up()
    seven.wait_until_ok(120)
    assert {room: seven.replicas(room) for room in before} == before
    for url, (answers, failures, first) in found.items():
        assert answers, url
        assert failures == 0, f"{url}: {first}"
    wait_for(lambda: seven.get(f"{SECOND}/health")[0] == 200, 60, seven.why)
    # The replica that was alone is replaced, and ends while it is no longer asked.
    wait_for(lambda: len(seven.replicas("browser")) == 1, 60, seven.why)
    return seven


def add_address(file: Path, room: str, address: str) -> None:
    config = yaml.safe_load(file.read_text())
    config["provider"]["rooms"][room]["addresses"].append(address)
    file.write_text(yaml.safe_dump(config))


def embeds(cluster: SixVms) -> bool:
    answer = cluster.post("/v1/embeddings", {"model": "default", "input": "which one?"})
    return "data" in answer


def nodes(cluster: SixVms, room: str) -> int:
    """Living nodes of the room: `ray status` goes on counting a VM that is only switched off."""
    status, body = cluster.get(f"{MAIN}/api/cluster")
    assert status == 200, body
    found = json.loads(body)["nodes"]
    return sum(node["state"] == "alive" and room in node["rooms"] for node in found)


def test_both_vms_of_a_room_serve_and_are_counted(seven: SixVms) -> None:
    # The room is ok as soon as each application answers, from whichever VM.
    for url in NPU_URLS:
        wait_for(lambda url=url: seven.get(url)[0] == 200, 60, seven.why)
    # Five applications on two VMs; Serve is asked every ten seconds while all is well.
    wait_for(lambda: seven.health()["rooms"]["npu"]["replicas"] == 10, 60, seven.why)
    assert all(embeds(seven) for _ in range(10))
    assert nodes(seven, "npu") == 2
    told = [vm["node"]["address"] for vm in seven.health()["rooms"]["npu"]["vms"]]
    assert told == [ROOMS["npu"], NPU2]


def test_one_of_two_vms_may_be_lost_and_serves_again_by_itself(seven: SixVms) -> None:
    with seven.traffic(NPU_URLS[0]) as found:
        vm = seven.lab.vm("npu2")
        vm.power_off()
        wait_for(lambda: nodes(seven, "npu") == 1, 60, seven.why)
        wait_for(lambda: all(embeds(seven) for _ in range(10)), 60, seven.why)
        vm.power_on()
        wait_for(lambda: nodes(seven, "npu") == 2, 240, seven.why)
        wait_for(lambda: seven.get(NPU_URLS[1])[0] == 200, 180, seven.why)
        wait_for(lambda: seven.health()["rooms"]["npu"]["replicas"] == 10, 60, seven.why)
        seven.wait_until_ok(120)
    ((answers, failures, first),) = found.values()
    assert answers
    assert failures == 0, first


def opened(cluster: SixVms, vm: str) -> str:
    """The id of a session that the ingress has opened on the VM."""
    for _ in range(20):
        answer = cluster.post(SESSIONS, {"idle_s": 600})
        if answer["node"] == vm:
            return answer["id"]
    raise AssertionError(f"none of 20 sessions was opened on {vm}")


def test_a_session_is_used_from_everywhere_whichever_vm_it_is_on(eight: SixVms) -> None:
    for vm in (ROOMS["browser"], BROWSER2):
        session = opened(eight, vm)
        for root in (MAIN, FIRST, SECOND):
            status, body = eight.get(f"{root}{SESSIONS}/{session}")
            assert (status, json.loads(body)["node"]) == (200, vm)
        for _ in range(10):
            assert "html" in eight.text(f"{SESSIONS}/{session}/content", {})
    listed = json.loads(eight.get(f"{MAIN}{SESSIONS}")[1])
    assert {item["node"] for item in listed["sessions"]} == {ROOMS["browser"], BROWSER2}
    assert listed["unreachable"] == []


def test_a_lost_vm_takes_its_own_sessions_and_no_other(eight: SixVms) -> None:
    """Mid-action: its caller is told; a session of the other VM is used all the time.

    Through the ingress one request may have been on its way through the lost VM.
    """
    mine, theirs = opened(eight, ROOMS["browser"]), opened(eight, BROWSER2)
    steady = {f"{FIRST}{SESSIONS}/{mine}": 0, f"{MAIN}{SESSIONS}/{mine}": 1}
    vm = eight.lab.vm("browser2")
    with eight.traffic(*steady) as found:
        waiting = eight.begin(f"{FIRST}{SESSIONS}/{theirs}/wait", {"seconds": 60, "timeout_s": 60})
        time.sleep(3)
        eight.get(f"{FIRST}{SESSIONS}/{theirs}")  # its connection is at hand for the next one
        vm.power_off()
        after = eight.begin(f"{FIRST}{SESSIONS}/{theirs}/content", {})
        for call in (waiting, after):
            told = json.loads(call.communicate(timeout=40)[0])
            assert told["status"] == 503
            assert BROWSER2 in told["detail"]
        wait_for(lambda: eight.state("browser") == "degraded", 15, eight.why)
        assert f"browser: no answer from {BROWSER2}" in eight.why()
        listed = json.loads(eight.get(f"{FIRST}{SESSIONS}")[1])
        assert listed["unreachable"] == [BROWSER2]
        assert mine in {item["id"] for item in listed["sessions"]}
        vm.power_on()
        wait_for(lambda: eight.get(f"{SECOND}/health")[0] == 200, 240, eight.why)
        eight.wait_until_ok(120)
    for url, (answers, failures, first) in found.items():
        print(f"{url}: {answers} answers, {failures} failures, first {first}")
        assert answers > 40, url
        assert failures <= steady[url], first
    status, body = eight.get(f"{FIRST}{SESSIONS}/{theirs}")
    assert status == 404
    assert "replica" in json.loads(body)["detail"]
    opened(eight, BROWSER2)


def test_a_vm_that_is_taken_out_is_stopped_and_its_room_is_back_with_the_other(
    eight: SixVms,
) -> None:
    file = eight.checkout / "cluster.yaml"
    config = yaml.safe_load(file.read_text())
    config["provider"]["rooms"]["browser"]["addresses"].remove(BROWSER2)
    file.write_text(yaml.safe_dump(config))
    eight.up()
    eight.wait_until_ok(120)
    wait_for(lambda: nodes(eight, "browser") == 1, 60, eight.why)
    unit, gone = "systemctl is-active autobot-ray", eight.lab.vm("browser2")
    wait_for(lambda: "inactive" in gone.shell(unit, check=False).stdout, 60, eight.why)
    assert opened(eight, ROOMS["browser"])
    wait_for(lambda: eight.health()["rooms"]["browser"]["replicas"] == 1, 60, eight.why)
