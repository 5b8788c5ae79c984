"""Cluster configurations for tests: what `cluster.yaml` says, and variations of it."""

import copy
from pathlib import Path
from typing import Any

import yaml

from autobot.platform.topology import CHECKOUT, Topology

REAL: dict[str, Any] = yaml.safe_load((CHECKOUT / "cluster.yaml").read_text())


def config(**rooms: Any) -> dict[str, Any]:
    """The real configuration with some rooms replaced; None takes a room away."""
    changed = copy.deepcopy(REAL)
    for room, declared in rooms.items():
        if declared is None:
            del changed["provider"]["rooms"][room]
        else:
            changed["provider"]["rooms"][room] = declared
    return changed


def topology(**rooms: Any) -> Topology:
    return Topology.from_config(config(**rooms), Path("cluster.yaml"))
