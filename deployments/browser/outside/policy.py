"""What steps may reach of the outside world: its public addresses, and what the owner opened.

The rules are those of pages. What the setting ``egress_allow`` opens, it opens for steps alone: a
page brings scripts of strangers, who would look around the owner's network with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from autobot.errors import BlockedAddress, Invalid
from autobot.platform.topology import cluster_file
from autobot.settings import Settings
from deployments.browser.egress.connector import ClusterAddresses, Connector, own_addresses
from deployments.browser.egress.policy import (
    Address,
    Policy,
    Target,
    canonical_host,
    explain,
    inside,
    literal,
)

EVERY = 0
"""The port of a target that stands for all ports of its host."""
HOUSEHOLD = frozenset({"a private address", "a carrier-grade NAT address"})
"""What a name may lead to that the owner opened; anything else only when its address is written."""
REMEDY = "An owner may open it with the setting egress_allow."


def parse_opened(text: str) -> frozenset[Target]:
    """Read a list like ``192.168.1.5, nas.lan:443, [fd00::5]:80``, separated by commas.

    Raises `Invalid` for what is neither a host nor a host and a port.
    """
    return frozenset(_opened(entry) for part in text.split(",") if (entry := part.strip()))


def _opened(entry: str) -> Target:
    bare = f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry
    host, colon, port = bare.rpartition(":")
    if not colon or bare.endswith("]"):
        host, port = bare, str(EVERY)
    elif not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Invalid(f"`{entry}` in egress_allow is no host, address or host:port.")
    return Target(_judged(canonical_host(host)), int(port))


def _judged(host: str) -> str:
    """A host; of an address that only carries another one, that one."""
    address = literal(host)
    return host if address is None else str(inside(address))


@dataclass(frozen=True)
class OutsidePolicy(Policy):
    """The policy of pages, with other exceptions: ``allowed`` may name all ports of a host.

    An address is opened by itself. A name opens the private addresses that it leads to, but none of
    this machine or of the cluster. Nothing opens Redis, whose port is ``redis_port``.
    """

    redis_port: int = 6379

    @classmethod
    def of(cls, settings: Settings) -> "OutsidePolicy":
        """Raises `Invalid` when the setting cannot be read."""
        opened = parse_opened(settings.egress_allow)
        cluster = ClusterAddresses(cluster_file())
        return cls(opened, own_addresses(), cluster, settings.redis_port)

    def check(self, target: Target, addresses: Iterable[Address]) -> None:
        """See `Policy`."""
        for address in addresses:
            kind = self.kind(address)
            if kind is None or self._opens(target, address, kind):
                continue
            raise BlockedAddress(f"{explain(target, address, kind)} {REMEDY}")

    def _opens(self, target: Target, address: Address, kind: str) -> bool:
        if target.port == self.redis_port and not self._of_household(address, kind):
            return False
        if self._named(str(inside(address)), target.port):
            return True
        return self._of_household(address, kind) and self._named(target.host, target.port)

    def _of_household(self, address: Address, kind: str) -> bool:
        """Whether it is of the owner's network and neither this machine's nor the cluster's."""
        judged = inside(address)
        return kind in HOUSEHOLD and judged not in self.own and judged not in self.cluster()

    def _named(self, host: str, port: int) -> bool:
        return not self.allowed.isdisjoint({Target(host, port), Target(host, EVERY)})


def outside_connector(settings: Settings) -> Connector:
    """The way out for steps. Raises `Invalid` as `OutsidePolicy.of` does."""
    return Connector(OutsidePolicy.of(settings))
