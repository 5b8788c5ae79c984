"""The node provider of `ray up cluster.yaml`: fixed VMs, one node type per room.

It runs twice: on the operator's machine, where the launcher sets up the head, and on the head,
where Ray's autoscaler sets up the other rooms. A VM cannot be bought or thrown away, so here
"create" means to take a VM of the room into service, and "terminate" to let it go.
"""

import asyncio
import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import yaml
from ray.autoscaler._private.cli_logger import cli_logger
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_HEAD,
    NODE_KIND_WORKER,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

from autobot.cluster import bootstrap
from autobot.cluster.launcher import refuse_shared_temporary_folder
from autobot.cluster.paths import cluster_dir, stage_code
from autobot.cluster.ssh_runner import RoomCommandRunner
from autobot.cluster.state import Node, Nodes, StateFile
from autobot.cluster.teardown import release
from autobot.errors import SetupError
from autobot.files import write_private
from autobot.manifests import rooms
from autobot.platform.secrets import divide, ensure_secrets
from autobot.platform.topology import Topology, load_topology
from autobot.platform.web_build import build_web, is_built
from autobot.settings import Settings, default_home

# A VM that answers on SSH for so long without its Ray node was reinstalled, or lost its disk.
REINSTALLED_AFTER_S = 60.0
PROBE_S = 0.5

T = TypeVar("T")
Connects = Callable[[str, int], bool]


def connects(address: str, port: int) -> bool:
    """Whether something listens there, as far as half a second can tell."""
    try:
        with socket.create_connection((address, port), PROBE_S):
            return True
    except OSError:
        return False


class AutoBotNodeProvider(NodeProvider):
    """See the module. Thread-safe: all state is in one `StateFile`."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self._directory = cluster_dir(cluster_name)
        self._state = StateFile(self._directory / "state.json")
        self._on_head = provider_config.get("on_head", False)
        self._settings = Settings()
        self._connects: Connects = connects
        self._healing = threading.Lock()
        self._listed_for_teardown = False
        if self._on_head:
            self._register_head(os.environ.get("RAY_CLOUD_INSTANCE_ID"))
        else:
            # The launcher keeps a bootstrapped configuration for later commands, which may come
            # with other paths or after other changes: none is to outlive its command.
            if cached := provider_config.get("_config_cache_path"):
                Path(cached).unlink(missing_ok=True)
            # Some commands only ask for an address and bring the file as it is.
            if "auth" in provider_config:
                self._prepare_operator()

    # What the launcher asks before anything runs

    @staticmethod
    def fillout_available_node_types_resources(cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Called before validation, which needs the node types to be there already."""
        return _explained(lambda: bootstrap.fill(cluster_config, _topology(cluster_config)))

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration completed from the topology.

        Ends the launcher when the topology is wrong, when the SSH key cannot be read, or when
        others may write where Ray's launcher keeps its temporary files.
        """

        def complete() -> dict[str, Any]:
            topology = _topology(cluster_config)
            topology.check_key()
            refuse_shared_temporary_folder()
            return bootstrap.fill(cluster_config, topology)

        return _explained(complete)

    def prepare_for_head_node(self, cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration as the head's own autoscaler is to have it.

        It tells that provider where it runs, and names what the head sends to its workers.
        """
        return {
            **cluster_config,
            "provider": {**cluster_config["provider"], "on_head": True},
            "file_mounts": bootstrap.worker_mounts(self.cluster_name),
        }

    def _prepare_operator(self) -> None:
        """Build the page, make the secrets and stage the code, before the launcher looks at what it
        shall sync.

        The owner's API key is printed when this process ends, below all that the launcher says.
        """

        def prepare() -> None:
            if not is_built():
                print("building the web interface", flush=True)
                asyncio.run(build_web())
            first = self._settings.api_key
            secrets = ensure_secrets(
                self._directory / "secrets", first.get_secret_value() if first else None
            )
            divide(secrets.directory, self._directory / "rooms", tuple(rooms()))
            stage_code(self._directory / "code")
            vm_config = yaml.safe_dump(bootstrap.vm_config(self.topology()))
            write_private(self._directory / "cluster.yaml", vm_config.encode())
            if secrets.owner_key:
                atexit.register(_show_key, secrets.owner_key)

        _explained(prepare)

    def _register_head(self, node_id: str | None) -> None:
        """List the head itself: the autoscaler scales nothing while it does not see its head."""
        if node_id is None:
            return
        tags = {TAG_RAY_NODE_KIND: NODE_KIND_HEAD, TAG_RAY_USER_NODE_TYPE: "main"}
        address = self.topology().head
        with self._state.changing() as nodes:
            for old in [node for node in nodes.nodes.values() if node.room == "main"]:
                del nodes.nodes[old.id]
            nodes.nodes[node_id] = Node(node_id, address, "main", since=time.time(), tags=tags)

    # What it asks of nodes

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        """Return the ids of the nodes that have all of these tags; lost nodes are among them.

        On the head each call first decides about lost nodes. That may take half a second for each
        port of theirs that is tried.
        """
        if self._on_head:
            self._reconsider_lost_nodes()
        return [node.id for node in self._state.read().alive() if node.matches(tag_filters)]

    def is_running(self, node_id: str) -> bool:
        """Whether the node is in service: a lost one is, one that is not known is not."""
        node = self._state.read().nodes.get(node_id)
        return node is not None and node.state != "terminated"

    def is_terminated(self, node_id: str) -> bool:
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        """Return a copy of the tags that Ray has given the node; none for an unknown id."""
        node = self._state.read().nodes.get(node_id)
        return dict(node.tags) if node else {}

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        """Add ``tags`` to the node's, on disk when it returns; ignored for an unknown id."""
        with self._state.changing() as nodes:
            # A node may be terminated while its set-up still reports.
            if node_id in nodes.nodes:
                nodes.change(node_id, tags={**nodes.nodes[node_id].tags, **tags})

    def internal_ip(self, node_id: str) -> str:
        """Return the address of the node's VM; that of a forgotten node is read from its id."""
        node = self._state.read().nodes.get(node_id)
        return node.address if node else node_id.rpartition("-")[0]

    def external_ip(self, node_id: str) -> str:
        """Return the same as `internal_ip`: a VM has one address."""
        return self.internal_ip(node_id)

    def create_node(
        self, node_config: dict[str, Any], tags: dict[str, str], count: int
    ) -> dict[str, Any]:
        """Take up to ``count`` free VMs of the room into service.

        NodeLaunchException when none is free: all are in use, or lost and awaited.
        """
        room = tags[TAG_RAY_USER_NODE_TYPE]
        addresses = self.topology().rooms[room].addresses
        with self._state.changing() as nodes:
            taken = {node.address for node in nodes.alive()}
            free = [address for address in addresses if address not in taken][:count]
            now = time.time()
            launched = [nodes.launch(address, room, tags, now) for address in free]
        if not launched:
            detail = f"Every VM of room {room} is in service or awaited: {', '.join(addresses)}."
            raise NodeLaunchException("NoFreeVM", detail, None)
        return {node.id: {"address": node.address} for node in launched}

    def terminate_node(self, node_id: str) -> None:
        """Let a VM go. On the head, where Ray calls this for a node it lost, await it instead."""
        if not self._on_head:
            release([self.internal_ip(node_id)], self.topology(), self._directory / "known_hosts")
        with self._state.changing() as nodes:
            if node_id in nodes.nodes:
                # One whose set-up failed never joined: nothing will come back by itself.
                joined = nodes.nodes[node_id].tags.get(TAG_RAY_NODE_STATUS) == STATUS_UP_TO_DATE
                state = "lost" if self._on_head and joined else "terminated"
                nodes.change(node_id, state=state, since=time.time(), answering_since=None)

    def terminate_nodes(self, node_ids: list[str]) -> None:
        """Terminate all of them at once, each in a thread, and wait until each is done."""
        with ThreadPoolExecutor(max_workers=max(1, len(node_ids))) as pool:
            list(pool.map(self.terminate_node, node_ids))

    def nodes_for_teardown(self, tag_filters: dict[str, str]) -> list[str]:
        """Every VM of the cluster: the operator's state knows only the head."""
        if self._on_head:
            return self.non_terminated_nodes(tag_filters)
        with self._state.changing() as nodes:
            if not self._listed_for_teardown:
                self._list_all(nodes)
            alive = nodes.alive()
        self._listed_for_teardown = True
        return [node.id for node in alive if node.matches(tag_filters)]

    def _list_all(self, nodes: Nodes) -> None:
        known = {node.address for node in nodes.alive()}
        for room in self.topology().rooms.values():
            kind = NODE_KIND_HEAD if room.name == "main" else NODE_KIND_WORKER
            tags = {TAG_RAY_NODE_KIND: kind, TAG_RAY_USER_NODE_TYPE: room.name}
            for address in set(room.addresses) - known:
                nodes.launch(address, room.name, tags, time.time())

    def get_command_runner(
        self, log_prefix: str, node_id: str, auth_config: dict[str, Any], *args: Any, **kw: Any
    ) -> RoomCommandRunner:
        """Return what reaches the node's VM over SSH; its options are those of Ray's own runners.

        A node that is not known here belongs to the room that the topology has at its address. When
        there is none, that is a SetupError on the head, and the end of the launcher elsewhere.
        """
        names = ("cluster_name", "process_runner", "use_internal_ip", "docker_config")
        options = {**dict(zip(names, args, strict=False)), **kw}
        options.pop("docker_config", None)
        node = self._state.read().nodes.get(node_id)

        def make() -> RoomCommandRunner:
            return RoomCommandRunner(
                room=node.room if node else self.topology().room_at(self.internal_ip(node_id)),
                known_hosts=self._directory / "known_hosts",
                rooms=self._directory / "rooms",
                log_prefix=log_prefix,
                node_id=node_id,
                provider=self,
                auth_config=auth_config,
                **options,
            )

        # The autoscaler on the head lives on; the operator's command ends with the reason.
        return make() if self._on_head else _explained(make)

    def topology(self) -> Topology:
        """On the head read anew: a VM may have been added since the autoscaler started."""
        if self._on_head:
            return load_topology(default_home() / "cluster.yaml")
        config = {"cluster_name": self.cluster_name, "provider": self.provider_config}
        return _topology({**config, "auth": self.provider_config.get("auth")})

    # Lost nodes

    def _reconsider_lost_nodes(self) -> None:
        """Decide about each node that Ray gave up.

        Its Ray node comes back by itself (systemd) under the same id: then it is simply running. A
        VM that is off stays awaited. One that answers without a Ray node was reinstalled: letting
        it go makes the autoscaler set it up again. One that left the topology is stopped.
        """
        if not self._healing.acquire(blocking=False):
            return
        try:
            topology = self.topology()
            lost = [n for n in self._state.read().alive() if n.state == "lost"]
            gone = [n for n in self._state.read().alive() if n.address not in topology.addresses]
            if gone:
                self._release_meanwhile([node.address for node in gone], topology)
            verdicts = {node.id: self._verdict(node) for node in lost}
            verdicts |= {node.id: {"state": "terminated"} for node in gone}
            if verdicts:
                with self._state.changing() as nodes:
                    _apply(nodes, verdicts)
        finally:
            self._healing.release()

    def _release_meanwhile(self, addresses: list[str], topology: Topology) -> None:
        """The autoscaler does not wait for VMs of which some may be off."""

        def stop() -> None:
            for address in release(addresses, topology, self._directory / "known_hosts"):
                cli_logger.warning("{} left the topology and could not be stopped.", address)

        threading.Thread(target=stop, daemon=True).start()

    def _verdict(self, node: Node) -> dict[str, Any]:
        now = time.time()
        if self._connects(node.address, self._settings.node_manager_port):
            return {"state": "running", "since": now, "answering_since": None}
        if not self._connects(node.address, 22):
            return {"answering_since": None}
        since = node.answering_since or now
        if now - since >= REINSTALLED_AFTER_S:
            return {"state": "terminated", "since": now}
        return {"answering_since": since}


def _apply(nodes: Nodes, verdicts: dict[str, dict[str, Any]]) -> None:
    for node_id, values in verdicts.items():
        if node_id in nodes.nodes:
            nodes.change(node_id, **values)


def _topology(config: dict[str, Any]) -> Topology:
    return Topology.from_config(
        config, Path(os.environ.get("AUTOBOT_CLUSTER_FILE", "cluster.yaml"))
    )


def _explained(work: Callable[[], T]) -> T:
    """Run ``work``; end the launcher with cause and remedy where a SetupError says them.

    Not by an Exception: Ray's launcher catches those, goes on, and fails at what is missing then.
    """
    try:
        return work()
    except SetupError as error:
        sys.exit(str(error))


def _show_key(key: str) -> None:
    print(f"\nAPI key  {key}\nShown once: keep it. More keys: `autobot key create`.\n", flush=True)
