"""Which ports of the running platform others on the network can reach, and what protects them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import psutil

from autobot.local.checks import public_ports
from autobot.settings import Settings

KEY = "an API key"
RAYS = "Ray's token (secrets/ray_token)"
NOTHING = "nothing: put a firewall before it"
# Not here: Ray's own, which all ask for its token.
PROTECTION: Mapping[str, str] = {
    **dict.fromkeys(("http_port", "npu_port", "llm_port", "browser_port"), KEY),
    "frontend_port": "nothing; it is the page alone, and what the page asks for needs an API key",
    "desktop_port": "its password (secrets/desktop_password)",
    "redis_port": "Redis' passwords (secrets/redis)",
    **dict.fromkeys(
        (
            *("metrics_port", "dashboard_metrics_port", "autoscaler_metrics_port"),
            *("haproxy_stats_port", "haproxy_metrics_port"),
        ),
        NOTHING,
    ),
}


@dataclass(frozen=True, order=True)
class Listener:
    port: int
    address: str
    program: str

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        address = ip_address(self.address)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback


@dataclass(frozen=True)
class Exposed:
    listener: Listener
    protection: str

    def __str__(self) -> str:
        found = self.listener
        return f"port {found.port} ({found.program}), protected by {self.protection}"


def listeners(processes: Iterable[psutil.Process]) -> list[Listener]:
    """What the processes listen on by TCP. One that ends meanwhile listens on nothing."""
    found: set[Listener] = set()
    for process in processes:
        try:
            name = process.name()
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    found.add(Listener(connection.laddr.port, connection.laddr.ip, name))
        except psutil.Error:
            continue
    return sorted(found)


def exposed(settings: Settings, found: Iterable[Listener]) -> list[Exposed]:
    """Those of the listeners that the network reaches."""
    names = {port: name for name, port in public_ports(settings).items()}
    replicas = range(settings.replica_min_port, settings.replica_max_port + 1)

    def protection(listener: Listener) -> str:
        if listener.port in names:
            return PROTECTION.get(names[listener.port], RAYS)
        if listener.port in replicas:
            return KEY
        # Replicas have one at a port of the system's choice, for calls between rooms.
        return RAYS if listener.program.startswith("ray") else NOTHING

    return [Exposed(each, protection(each)) for each in found if not each.is_local]


def exposed_by(settings: Settings, supervisor: psutil.Process) -> list[Exposed]:
    """Of everything that runs below the supervisor."""
    try:
        processes = [supervisor, *supervisor.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    return exposed(settings, listeners(processes))
