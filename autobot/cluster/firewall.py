"""Each VM's firewall as an nftables ruleset: drop what comes in, but for what its room needs.

The browser VM loads pages of strangers, so the others trust it least: it reaches Ray's own
authenticated ports and the ingress, and no other room's port, no SSH, no Redis, no metrics.
"""

from collections.abc import Iterable

from autobot.manifests import rooms
from autobot.platform.browser_users import BROWSER_UIDS, BROWSER_USER
from autobot.platform.topology import Topology
from autobot.settings import Settings

# Linux hands these out to a listener that asks for any port, as the browser's proxy does.
EPHEMERAL = "32768-60999"


def render_firewall(topology: Topology, settings: Settings, room: str) -> str:
    """Return the ruleset of a VM of ``room``; loading it replaces the one before at once."""
    rules = [*_base(topology), *_ray(settings, room), *_service(topology, settings, room)]
    output = _browser_output(settings) if room == "browser" else []
    chains = [_chain("input", "policy drop;", rules)]
    if output:
        chains.append(_chain("output", "policy accept;", output))
    sets = [
        _set("cluster", topology.addresses),
        _set("main", topology.rooms["main"].addresses),
        _set("browser", topology.rooms["browser"].addresses),
        _set("redis_clients", _redis_clients(topology)),
    ]
    body = "\n".join([*sets, *chains])
    return (
        "#!/usr/sbin/nft -f\n# Written by AutoBot; changes made here are lost.\n"
        "table inet autobot\ndelete table inet autobot\n"
        f"table inet autobot {{\n{body}\n}}\n"
    )


def _base(topology: Topology) -> list[str]:
    ssh = ["tcp dport 22 ip saddr @main accept", "tcp dport 22 ip saddr @cluster drop"]
    for network in topology.admin_networks:
        ssh.append(f"tcp dport 22 ip saddr {network} accept")
    return [
        "iif lo accept",
        "ct state established,related accept",
        "ct state invalid drop",
        "icmp type echo-request limit rate 20/second accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept",
        *ssh,
    ]


def _ray(settings: Settings, room: str) -> list[str]:
    """Ray's RPC between nodes; what only its dashboard on main asks, only from main."""
    peers = [
        settings.node_manager_port,
        settings.object_manager_port,
        f"{settings.min_worker_port}-{settings.max_worker_port}",
    ]
    if room == "main":
        peers.insert(0, settings.gcs_port)
    of_main = [
        settings.dashboard_agent_port,
        settings.dashboard_agent_grpc_port,
        settings.metrics_port,
        settings.haproxy_stats_port,
        settings.haproxy_metrics_port,
        f"{settings.replica_min_port}-{settings.replica_max_port}",
    ]
    return [
        f"tcp dport {_ports(peers)} ip saddr @cluster accept",
        f"tcp dport {_ports(of_main)} ip saddr @main accept",
    ]


def _service(topology: Topology, settings: Settings, room: str) -> list[str]:
    """The room's own port: clients reach what a manifest opens to them, admins every room's."""
    if room == "main":
        port = settings.http_port
        return [
            f"tcp dport {port} ip saddr @browser accept",
            "ip saddr @browser drop",
            *_open_to(topology.client_networks, [port, settings.desktop_port]),
            f"tcp dport {port} ip saddr @cluster accept",
        ]
    port = rooms().port(room, settings)
    if port is None:
        return []
    if room == "redis":
        return [f"tcp dport {port} ip saddr @redis_clients accept"]
    # Browser VMs pass each other's requests on, with the callers' keys. Chromium is kept from that.
    peers = [f"tcp dport {port} ip saddr @browser accept"] if room == "browser" else []
    inside = [*peers, "ip saddr @browser drop", f"tcp dport {port} ip saddr @cluster accept"]
    clients = rooms()[room].reached_from == "clients"
    outside = topology.client_networks if clients else topology.admin_networks
    return [*inside, *_open_to(outside, [port])]


def _open_to(networks: Iterable[str], ports: list[int]) -> list[str]:
    return [f"tcp dport {_ports(ports)} ip saddr {network} accept" for network in networks]


def _browser_output(settings: Settings) -> list[str]:
    """Chromium reaches the proxy on loopback and nothing else, whatever a page makes it try.

    The proxy, which runs as another user, decides about addresses and speaks to the internet.
    """
    own = sorted(
        {
            settings.dashboard_agent_port,
            settings.dashboard_agent_grpc_port,
            settings.runtime_env_agent_port,
            settings.node_manager_port,
            settings.object_manager_port,
            settings.metrics_port,
        }
    )
    connections = f"{BROWSER_UIDS.start}-{BROWSER_UIDS.stop - 1}"
    chromium = f'meta skuid {{ "{BROWSER_USER}", {connections} }}'
    return [
        f"{chromium} tcp dport {_ports(own)} drop",
        f"{chromium} ip daddr 127.0.0.1 tcp dport {EPHEMERAL} accept",
        f"{chromium} ct state established ip daddr 127.0.0.1 accept",
        f"{chromium} drop",
    ]


def _redis_clients(topology: Topology) -> tuple[str, ...]:
    known = rooms()
    return tuple(
        address
        for room, spec in topology.rooms.items()
        if (redis := known[room].redis) and redis.connects
        for address in spec.addresses
    )


def _ports(ports: Iterable[int | str]) -> str:
    return "{ " + ", ".join(str(port) for port in ports) + " }"


def _set(name: str, addresses: Iterable[str]) -> str:
    return f"  set {name} {{ type ipv4_addr; elements = {{ {', '.join(addresses)} }} }}"


def _chain(hook: str, policy: str, rules: Iterable[str]) -> str:
    lines = "\n".join(f"    {rule}" for rule in rules)
    return (
        f"  chain {hook} {{\n    type filter hook {hook} priority filter; {policy}\n{lines}\n  }}"
    )
