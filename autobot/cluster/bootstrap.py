"""What the launcher's configuration needs beyond `cluster.yaml`, filled in from the topology."""

from collections.abc import Mapping
from typing import Any

from autobot.cluster.paths import VM_CODE, VM_SECRETS, VM_TOPOLOGY, cluster_dir, vm_rooms
from autobot.platform.topology import Topology

SCRIPTS = "~/autobot/autobot/cluster"
MODULE = "/opt/autobot/venv/bin/python -m autobot.cluster"
WITH_ENVIRONMENT = "set -a; . /etc/autobot/node.env; set +a;"
# A room's VM is never given back for being idle.
NEVER_IDLE_MINUTES = 60 * 24 * 3650
# A Ray process that was killed is back before the control store has missed it. Until then its VM
# counts twice, and the autoscaler would end the newcomer as one too many. More VMs than there are
# it cannot have: the provider has none to give.
COUNTED_TWICE = 2


def node_types(topology: Topology) -> dict[str, dict[str, Any]]:
    """One node type per room, with as many nodes as it has VMs."""
    types: dict[str, dict[str, Any]] = {}
    for room in topology.rooms.values():
        workers = 0 if room.name == "main" else len(room.addresses)
        types[room.name] = {
            "node_config": {},
            "resources": dict(room.resources),
            "min_workers": workers,
            "max_workers": workers * COUNTED_TWICE,
            "worker_setup_commands": [f"bash {SCRIPTS}/setup_node.sh {room.name}"],
        }
    return types


def fill(config: Mapping[str, Any], topology: Topology) -> dict[str, Any]:
    """Return a complete launcher configuration; what `cluster.yaml` says stands."""
    types = node_types(topology)
    defaults: dict[str, Any] = {
        "head_node_type": "main",
        "idle_timeout_minutes": NEVER_IDLE_MINUTES,
        "upscaling_speed": 100,
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "initialization_commands": [],
        "setup_commands": [],
        "docker": {},
    }
    given = {name: value for name, value in config.items() if value not in (None, [], {})}
    # The provider, which releases VMs, is told how to reach them as well.
    auth = {"ssh_user": topology.ssh_user, "ssh_private_key": str(topology.ssh_key)}
    return {
        **defaults,
        **given,
        "auth": auth,
        "provider": {**given["provider"], "use_internal_ips": True, "auth": auth},
        "available_node_types": types,
        "max_workers": sum(kind["max_workers"] for kind in types.values()),
        "file_mounts": {**given.get("file_mounts", {}), **head_mounts(topology.name)},
        "head_setup_commands": [f"bash {SCRIPTS}/setup_node.sh main"],
        "worker_setup_commands": [],
        "head_start_ray_commands": [
            f"{MODULE}.node start main",
            f"{WITH_ENVIRONMENT} {MODULE}.rollout",
        ],
        "worker_start_ray_commands": [f'{MODULE}.node start "$RAY_NODE_TYPE_NAME"'],
    }


def head_mounts(name: str) -> dict[str, str]:
    """What the operator's machine sends to the head: VM path -> path here."""
    here = cluster_dir(name)
    return {
        VM_CODE: str(here / "code"),
        VM_SECRETS: str(here / "rooms" / "main"),
        VM_TOPOLOGY: str(here / "cluster.yaml"),
        vm_rooms(name): str(here / "rooms"),
    }


def worker_mounts(name: str) -> dict[str, str]:
    """What the head sends to a worker; of the rooms' secrets the runner picks the worker's own."""
    return {VM_CODE: VM_CODE, VM_SECRETS: vm_rooms(name), VM_TOPOLOGY: VM_TOPOLOGY}


def vm_config(topology: Topology) -> dict[str, Any]:
    """The topology as the VMs read it. The key is where the launcher puts it on the head."""
    rooms = {
        room.name: {
            "addresses": list(room.addresses),
            "port": room.port,
            "resources": dict(room.resources),
        }
        for room in topology.rooms.values()
    }
    networks = {
        "admin_networks": list(topology.admin_networks),
        "client_networks": list(topology.client_networks),
    }
    return {
        "cluster_name": topology.name,
        "provider": {"rooms": rooms, **networks},
        "auth": {"ssh_user": topology.ssh_user, "ssh_private_key": "~/ray_bootstrap_key.pem"},
    }
