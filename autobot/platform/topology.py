"""The rooms as `cluster.yaml` declares them: addresses, ports, resources.

The file is the launcher's own (`ray up cluster.yaml`); the rooms stand under ``provider.rooms``.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import structlog
import yaml

from autobot.errors import SetupError
from autobot.manifests import DEPLOYMENTS, rooms
from autobot.settings import default_home

log = structlog.get_logger()

CHECKOUT = Path(__file__).resolve().parents[2]
REMEDY = "Correct provider.rooms in {}."


@dataclass(frozen=True)
class RoomSpec:
    """One room: its VMs' IPv4 addresses, its TCP port, and what each of its Ray nodes offers."""

    name: str
    addresses: tuple[str, ...]
    port: int | None
    resources: Mapping[str, float]


@dataclass(frozen=True)
class Topology:
    """The cluster. ``admin_networks`` (CIDR) may open SSH, ``client_networks`` the public ports."""

    name: str
    rooms: Mapping[str, RoomSpec]
    ssh_user: str
    ssh_key: Path
    admin_networks: tuple[str, ...] = ()
    client_networks: tuple[str, ...] = ()
    source: Path = field(default=Path("cluster.yaml"), compare=False)

    @property
    def head(self) -> str:
        """The address of room main's VM, where Ray's head node runs."""
        return self.rooms["main"].addresses[0]

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of all VMs, room by room; none is there twice."""
        return tuple(address for room in self.rooms.values() for address in room.addresses)

    def room_at(self, address: str) -> str:
        """The room of a VM's address; SetupError when the cluster has no such VM."""
        for room in self.rooms.values():
            if address in room.addresses:
                return room.name
        raise SetupError(f"{address} is no VM of cluster {self.name}.", REMEDY.format(self.source))

    def check_key(self) -> None:
        """Raise SetupError unless the private key that opens the VMs can be read."""
        if not os.access(self.ssh_key, os.R_OK):
            raise SetupError(
                f"The SSH key {self.ssh_key} is missing or not readable.",
                f"Make one with `ssh-keygen -t ed25519 -f {self.ssh_key}` and put its public half "
                f"into ~{self.ssh_user}/.ssh/authorized_keys on every VM.",
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: Path) -> Self:
        """Read a launcher's configuration; SetupError names the first thing that is wrong."""
        provider = config.get("provider") or {}
        auth = config.get("auth") or {}
        declared = provider.get("rooms")
        if not isinstance(declared, Mapping):
            raise SetupError(f"{source} declares no rooms.", REMEDY.format(source))
        for name in declared:
            if name not in rooms():
                known = ", ".join(rooms())
                raise SetupError(f"Unknown room '{name}'.", f"The rooms are {known}.")
            if rooms().folder(name).parent != DEPLOYMENTS:
                raise SetupError(
                    f"Room '{name}' is in {rooms().folder(name)}; VMs get the checkout alone.",
                    "Move it to deployments/.",
                )
        specs = {
            name: _room(name, declared.get(name), source)
            for name, manifest in rooms().items()
            if name in declared or not manifest.optional
        }
        _refuse_shared_addresses(specs, source)
        return cls(
            name=str(config.get("cluster_name", "autobot")),
            rooms=specs,
            ssh_user=str(auth.get("ssh_user", "autobot")),
            ssh_key=Path(auth.get("ssh_private_key", "~/.ssh/autobot_key")).expanduser(),
            admin_networks=_networks(provider, "admin_networks", source),
            client_networks=_networks(provider, "client_networks", source),
            source=source,
        )


def _room(name: str, declared: Any, source: Path) -> RoomSpec:
    remedy = REMEDY.format(source)
    if not isinstance(declared, Mapping) or not declared.get("addresses"):
        raise SetupError(f"Room '{name}' has no VM.", remedy)
    addresses = declared["addresses"]
    if not isinstance(addresses, list):
        raise SetupError(f"Room '{name}': addresses must be a list.", remedy)
    for address in addresses:
        try:
            ipaddress.IPv4Address(address)
        except ValueError as error:
            raise SetupError(
                f"Room '{name}': '{address}' is not an IPv4 address.", remedy
            ) from error
    if rooms()[name].vms == "one" and len(addresses) > 1:
        raise SetupError(f"Room '{name}' has {len(addresses)} VMs; it may have one.", remedy)
    port = declared.get("port")
    if port is not None and not (isinstance(port, int) and 0 < port < 65536):
        raise SetupError(f"Room '{name}': '{port}' is not a TCP port.", remedy)
    resources = declared.get("resources", {name: 1})
    if not isinstance(resources, Mapping) or not float(resources.get(name, 0)) > 0:
        raise SetupError(f"Room '{name}' must offer its own resource '{name}'.", remedy)
    offered = {str(key): float(value) for key, value in resources.items()}
    return RoomSpec(name, tuple(addresses), port, offered)


def _networks(provider: Mapping[str, Any], name: str, source: Path) -> tuple[str, ...]:
    networks = provider.get(name) or []
    try:
        return tuple(str(ipaddress.IPv4Network(network)) for network in networks)
    except ValueError as error:
        raise SetupError(f"provider.{name}: {error}.", f"Correct it in {source}.") from error


def _refuse_shared_addresses(specs: Mapping[str, RoomSpec], source: Path) -> None:
    owner: dict[str, str] = {}
    for room in specs.values():
        for address in room.addresses:
            if address in owner:
                raise SetupError(
                    f"{address} is declared twice: in room '{owner[address]}' and '{room.name}'.",
                    REMEDY.format(source),
                )
            owner[address] = room.name


def cluster_file() -> Path:
    """AUTOBOT_CLUSTER_FILE, else AUTOBOT_HOME's (a VM has it there), else the checkout's."""
    if given := os.environ.get("AUTOBOT_CLUSTER_FILE"):
        return Path(given).expanduser()
    own = default_home() / "cluster.yaml"
    return own if own.exists() else CHECKOUT / "cluster.yaml"


def own_addresses() -> set[str]:
    """What addresses this machine's interfaces have."""
    return {a.address for addresses in psutil.net_if_addrs().values() for a in addresses}


def topology_here() -> Topology | None:
    """The cluster that this machine is a VM of, or None: the file alone does not make it one.

    Raises SetupError when there is no topology to be read.
    """
    topology = load_topology()
    return topology if own_addresses() & set(topology.addresses) else None


def load_topology(path: Path | None = None) -> Topology:
    """Read the topology from ``path`` or `cluster_file`; SetupError when it cannot be used."""
    source = path or cluster_file()
    try:
        config = yaml.safe_load(source.read_text())
    except OSError as error:
        raise SetupError(
            f"{source} cannot be read: {error.strerror}.", "Set AUTOBOT_CLUSTER_FILE."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SetupError(f"{source} is not valid YAML: {error}", "Correct it.") from error
    if not isinstance(config, Mapping):
        raise SetupError(f"{source} is not a cluster configuration.", REMEDY.format(source))
    try:
        return Topology.from_config(config, source)
    except (AttributeError, TypeError, ValueError) as error:
        raise SetupError(f"{source} is not understood: {error}.", REMEDY.format(source)) from error


class TopologyFile:
    """Gives the topology as its file has it now: `ray up` writes it when a VM comes or goes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, ...] | None = ()
        self._topology: Topology | None = None

    def of(self, address: str) -> Topology | None:
        """The cluster that has a VM of that address; None when there is none, as on one machine."""
        known = self.read()
        return known if known and address in known.addresses else None

    def read(self) -> Topology | None:
        """The cluster of the file; one that cannot be read changes nothing."""
        if (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            try:
                self._topology = load_topology(self._file)
            except SetupError as error:
                log.warning("topology.unread", reason=str(error))
        return self._topology

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            stat = self._file.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
