"""The monitor tells the truth about six rooms, in time."""

import asyncio
import time
from typing import Any

import pytest

from autobot.health import HealthMonitor, Serving, overall

APPS = {"redis": ["redis"], "npu": ["npu", "npu-ocr"], "llm": ["llm"]}


def report(app: str, state: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        "room": app.split("-")[0],
        "app": app,
        "state": state,
        "device": "CPU",
        "models": [f"{app}-model"],
        "version": "1",
        "node_id": "n",
        "address": "127.0.0.2",
        "pid": 1,
        "uptime_s": 1.0,
        **more,
    }


class Cluster:
    def __init__(self) -> None:
        self.dead: set[str] = set()
        self.silent: set[str] = set()
        self.answers: dict[str, dict[str, Any]] = {}
        self.replicas: dict[str, int] = {}
        self.asked = 0
        self.answering = asyncio.Event()
        self.answering.set()

    async def probe(self, app: str) -> list[dict[str, Any]]:
        if app in self.silent:
            await asyncio.sleep(60)
        if app in self.dead:
            raise ConnectionError("actor died")
        return self.answers.get(app, [report(app)])

    async def serving(self) -> Serving:
        self.asked += 1
        await self.answering.wait()
        return Serving(dict(self.replicas))


async def test_a_room_that_is_left_out_is_down_with_its_reason_and_the_others_are_as_they_are(
    cluster: Cluster,
) -> None:
    monitor = HealthMonitor(
        APPS, cluster.probe, cluster.serving, left_out={"greeter": "its manifest is wrong"}
    )
    health = await monitor.sweep()
    assert {name: room.state for name, room in health.rooms.items()} == {
        "redis": "ok", "npu": "ok", "llm": "ok", "greeter": "down",
    }  # fmt: skip
    assert health.rooms["greeter"].reason == "its manifest is wrong"
    assert health.state == "degraded"


async def test_a_monitor_that_was_stopped_can_be_started_again(cluster: Cluster) -> None:
    probed = asyncio.Event()

    async def probe(app: str) -> list[Any]:
        probed.set()
        return []

    monitor = HealthMonitor(APPS, probe, cluster.serving)
    for _ in range(2):
        probed.clear()
        monitor.start()
        await asyncio.wait_for(probed.wait(), 10)
        await monitor.stop()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def monitor(cluster: Cluster) -> HealthMonitor:
    return HealthMonitor(APPS, cluster.probe, cluster.serving, deadline_s=0.1)


async def test_all_rooms_ok(monitor: HealthMonitor) -> None:
    health = await monitor.sweep()
    assert health.state == "ok"
    assert health.rooms["npu"].models == ["npu-model", "npu-ocr-model"]
    assert health.rooms["npu"].device == "CPU"


async def test_each_vm_of_a_room_is_told_of_and_the_first_stands_for_the_room(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    cluster.answers["llm"] = [
        report("llm", "down", address="10.0.0.10", facts={"sessions": 5}, reason="no engine"),
        report("llm", address="10.0.0.9", facts={"sessions": 2}),
    ]
    room = (await monitor.sweep()).rooms["llm"]
    assert [vm.node.address for vm in room.vms] == ["10.0.0.9", "10.0.0.10"]
    assert [vm.facts for vm in room.vms] == [{"sessions": 2}, {"sessions": 5}]
    assert room.facts == {"sessions": 2}
    assert room.node == room.vms[0].node
    assert room.state == "degraded"
    assert room.reason == "10.0.0.10: no engine"
    cluster.answers["llm"][1]["state"] = "down"
    assert (await monitor.sweep()).rooms["llm"].state == "down"


async def test_a_vm_that_has_to_serve_and_is_silent_is_named(cluster: Cluster) -> None:
    vms = {"llm": ["127.0.0.2", "127.0.0.3"]}
    monitor = HealthMonitor(APPS, cluster.probe, cluster.serving, 0.1, lambda: vms)
    room = (await monitor.sweep()).rooms["llm"]
    assert (room.state, room.reason) == ("degraded", "llm: no answer from 127.0.0.3")
    cluster.answers["llm"] = [report("llm"), report("llm", address="127.0.0.3")]
    room = (await monitor.sweep()).rooms["llm"]
    assert (room.state, room.reason) == ("ok", None)
    assert room.models == ["llm-model"]


async def test_a_room_that_does_not_answer_at_all_has_its_vm_named(cluster: Cluster) -> None:
    vms = {"llm": ["172.16.168.24"], "npu": ["172.16.168.22"], "redis": ["172.16.168.23"]}
    monitor = HealthMonitor(APPS, cluster.probe, cluster.serving, 0.1, vms=lambda: vms)
    cluster.silent, cluster.dead = {"llm"}, {"redis"}
    rooms = (await monitor.sweep()).rooms
    assert rooms["llm"].reason == "llm: no answer within 0.1 s (on 172.16.168.24)"
    assert rooms["redis"].reason == "redis: actor died (on 172.16.168.23)"
    assert rooms["npu"].reason is None
    cluster.silent, cluster.dead = set(), set()
    assert (await monitor.sweep()).rooms["llm"].reason is None


async def test_an_application_that_is_missing_on_one_vm_is_named(cluster: Cluster) -> None:
    vms = {"npu": ["127.0.0.2", "127.0.0.3"]}
    monitor = HealthMonitor(APPS, cluster.probe, cluster.serving, 0.1, lambda: vms)
    cluster.answers["npu"] = [report("npu", address=vm) for vm in vms["npu"]]
    cluster.answers["npu-ocr"] = [report("npu-ocr", address="127.0.0.3")]
    room = (await monitor.sweep()).rooms["npu"]
    assert (room.state, room.reason) == ("degraded", "npu-ocr: no answer from 127.0.0.2")
    assert room.models == ["npu-model", "npu-ocr-model"]


async def test_a_report_that_cannot_be_read_makes_its_room_down(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    cluster.answers["llm"] = [{"room": "llm"}]
    health = await monitor.sweep()
    assert health.rooms["llm"].state == "down"
    assert health.rooms["redis"].state == "ok"


async def test_a_silent_room_costs_its_deadline_once_and_is_named(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    cluster.silent = {"redis", "llm"}
    started = time.monotonic()
    health = await monitor.sweep()
    assert time.monotonic() - started < 0.19, "rooms are probed in parallel"
    assert health.state == "degraded"
    assert health.rooms["llm"].state == "down"
    assert "no answer within 0.1 s" in (health.rooms["llm"].reason or "")


async def test_one_dead_application_of_two_degrades_its_room(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    cluster.dead = {"npu-ocr"}
    room = (await monitor.sweep()).rooms["npu"]
    assert (room.state, room.reason) == ("degraded", "npu-ocr: actor died")


async def test_a_room_that_says_it_is_degraded_is_believed(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    cluster.answers["redis"] = [report("redis", "degraded", reason="no append-only file")]
    assert (await monitor.sweep()).rooms["redis"].reason == "no append-only file"


async def test_since_moves_only_when_the_state_does(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    first = (await monitor.sweep()).rooms["llm"].since
    await asyncio.sleep(0.01)
    assert (await monitor.sweep()).rooms["llm"].since == first
    cluster.dead = {"llm"}
    assert (await monitor.sweep()).rooms["llm"].since > first


async def test_background_watch_sees_a_change_by_itself(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    monitor.start()
    await asyncio.sleep(0.1)
    assert monitor.health.state == "ok"
    cluster.dead = {"llm"}
    await asyncio.sleep(1.2)
    assert monitor.health.rooms["llm"].state == "down"
    await monitor.stop()


async def test_serve_is_asked_often_only_while_a_room_is_not_ok(
    monitor: HealthMonitor, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autobot.health.INTERVAL_S", 0.01)
    monkeypatch.setattr("autobot.health.SERVING_INTERVAL_UNWELL_S", 0.02)
    cluster.replicas = dict.fromkeys(("redis", "npu", "npu-ocr", "llm"), 1)
    monitor.start()
    await asyncio.sleep(0.2)
    while_well = cluster.asked
    await asyncio.sleep(0.3)
    assert cluster.asked == while_well
    cluster.dead = {"llm"}
    await asyncio.sleep(0.4)
    assert cluster.asked > while_well + 2
    await monitor.stop()


def test_overall_word() -> None:
    assert overall(["ok", "ok"]) == "ok"
    assert overall(["ok", "down"]) == "degraded"
    assert overall(["down", "down"]) == "down"


async def test_a_room_that_just_came_up_is_counted_whole_in_the_same_sweep(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    cluster.replicas = {"redis": 1, "npu": 1, "llm": 1}
    cluster.dead = {"npu-ocr"}
    assert (await monitor.sweep()).rooms["npu"].replicas == 1
    asked = cluster.asked
    await monitor.sweep()
    assert cluster.asked == asked, "Serve is not asked in every sweep"
    cluster.dead, cluster.replicas = set(), cluster.replicas | {"npu-ocr": 1}
    health = await monitor.sweep()
    assert health.rooms["npu"].state == "ok"
    assert health.rooms["npu"].replicas == 2


async def test_while_serve_is_silent_it_is_asked_once_and_its_late_answer_counts(
    monitor: HealthMonitor, cluster: Cluster
) -> None:
    cluster.answering.clear()
    for _ in range(3):
        assert (await monitor.sweep()).rooms["llm"].replicas == 0
    assert cluster.asked == 1
    cluster.replicas = {"redis": 1, "npu": 1, "npu-ocr": 1, "llm": 1}
    cluster.answering.set()
    assert (await monitor.sweep()).rooms["llm"].replicas == 1
    await monitor.stop()
