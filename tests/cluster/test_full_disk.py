"""What an acknowledged write means when a VM's disk is full to the last block."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster.lab.lab import ROOMS
from tests.cluster.sixvms import SixVms, wait_for

pytestmark = pytest.mark.timeout(600)

MAIN = f"http://{ROOMS['main']}:8001"
MOST = 60
"""Keys to ask for. The rest of the block that Redis' file ends in holds about fourteen."""


@dataclass
class Asked:
    """Keys asked for while the disk was full, by how the platform answered."""

    made: dict[str, str] = field(default_factory=dict[str, str])
    refused: dict[str, str] = field(default_factory=dict[str, str])


def ask_for_keys(cluster: SixVms, prefix: str, most: int) -> Asked:
    """Until one is refused, and a few more, or ``most``; each has a name of its own."""
    asked = Asked()
    for number in range(most):
        name = f"{prefix} {number}"
        status, body = cluster.posted("/api/keys", {"name": name, "scopes": ["read"]})
        if status == 201:
            asked.made[name] = json.loads(body)["key"]
            continue
        assert status == 503, body
        assert "inside AutoBot" not in json.loads(body)["detail"], "a full disk is no fault of ours"
        asked.refused[name] = body
        if len(asked.refused) == 3:
            break
    return asked


def listed(cluster: SixVms) -> set[str]:
    """The names of the keys that are in Redis now."""
    found: list[Any] = []

    def answered() -> bool:
        status, body = cluster.get(f"{MAIN}/api/keys")
        found[:] = json.loads(body) if status == 200 else []
        return status == 200

    wait_for(answered, 60, cluster.why)
    return {key["name"] for key in found}


def assert_kept(cluster: SixVms, asked: Asked) -> None:
    """What was acknowledged is there and works; what was refused is not there."""
    names = listed(cluster)
    assert not asked.made.keys() - names, "acknowledged, and lost"
    assert not asked.refused.keys() & names, "refused, and there"
    for name, key in asked.made.items():
        status, body = cluster.get(f"{MAIN}/api/cluster", key=key)
        assert status == 200, f"{name}: {body}"


def is_told(cluster: SixVms, room: str) -> bool:
    """Whether health calls the room unwell and names its VM."""
    found = cluster.health()["rooms"].get(room, {})
    return found.get("state") in ("degraded", "down") and ROOMS[room] in json.dumps(found)


def test_a_full_disk_of_redis_loses_no_acknowledged_key_and_keeps_no_refused_one(
    cluster: SixVms,
) -> None:
    cluster.wait_until_ok(120)
    vm = cluster.lab.vm("redis")
    vm.fill_disk()
    try:
        wait_for(lambda: is_told(cluster, "redis"), 30, cluster.why)
        asked = ask_for_keys(cluster, "redis full", MOST)
        assert asked.refused, f"{len(asked.made)} keys were written to a full disk"
        assert is_told(cluster, "redis"), cluster.why()
    finally:
        vm.free_disk()
    cluster.wait_until_ok(120)
    assert_kept(cluster, asked)
    vm.shell("systemctl restart autobot-redis")
    cluster.wait_until_ok(120)
    assert_kept(cluster, asked)


def test_a_full_disk_of_main_loses_no_key_and_makes_none_that_nobody_was_shown(
    cluster: SixVms,
) -> None:
    cluster.wait_until_ok(120)
    vm = cluster.lab.vm("main")
    vm.fill_disk()
    try:
        wait_for(lambda: is_told(cluster, "main"), 30, cluster.why)
        asked = ask_for_keys(cluster, "main full", 10)
        assert asked.made, "Redis has room: main's disk refuses nobody a key"
    finally:
        vm.free_disk()
    cluster.wait_until_ok(120)
    assert_kept(cluster, asked)
    cluster.lab.vm("redis").shell("systemctl restart autobot-redis")
    cluster.wait_until_ok(120)
    assert_kept(cluster, asked)
