"""Ids say which VM they are of; the topology says which VMs there are."""

import os
from pathlib import Path

import pytest
import yaml

from autobot.platform.topology import CHECKOUT
from deployments.browser.affinity.session_ids import (
    OtherVms,
    replica_name,
    replica_of,
    short,
    vm_of,
)

SECRET = "0123456789abcdefABCD-_"
OWN, SECOND = "172.16.168.25", "172.16.168.26"


@pytest.mark.parametrize("kind", "st")
def test_an_id_tells_its_vm_and_its_replica(kind: str) -> None:
    name = replica_name(OWN, "k3x0q7vd")
    made = f"{kind}_{name}_{SECRET}"
    assert (vm_of(made), replica_of(made)) == (OWN, name)
    assert short(made).startswith(f"{kind}_{name}_")
    assert SECRET not in short(made)


@pytest.mark.parametrize(
    "name", ["", "s_", "s_here_" + SECRET, f"x_ac10a819k3_{SECRET}", "s_ac10a819k3_x"]
)
def test_what_is_no_id_tells_nothing(name: str) -> None:
    assert vm_of(name) is None
    assert replica_of(name) is None


def topology(file: Path, *addresses: str) -> None:
    config = yaml.safe_load((CHECKOUT / "cluster.yaml").read_text())
    config["provider"]["rooms"]["browser"]["addresses"] = [*addresses]
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(yaml.safe_dump(config))
    os.utime(file, ns=(before + 1, before + 1))


def test_the_other_vms_are_those_of_the_topology_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    topology(file, OWN)
    others = OtherVms(OWN, 3000, file)
    assert others() == {}
    topology(file, OWN, SECOND)
    assert others() == {SECOND: f"{SECOND}:3000"}
    topology(file, OWN, "172.16.168.27")
    assert others() == {"172.16.168.27": "172.16.168.27:3000"}


def test_a_topology_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    topology(file, OWN, SECOND)
    others = OtherVms(OWN, 3000, file)
    known = others()
    for text in ("provider: [", "provider: [x]", "provider: {rooms: {npu: 5}}", "7", ""):
        file.write_text(text)
        assert others() == known
    file.write_bytes(b"\xff\xfe\xfa")
    assert others() == known
    file.unlink()
    assert others() == known


def test_one_machine_knows_no_others_whatever_the_file_says(tmp_path: Path) -> None:
    topology(tmp_path / "cluster.yaml", OWN, SECOND)
    assert OtherVms("127.0.0.1", 3000, tmp_path / "cluster.yaml")() == {}
