"""Which VM a session or task lives on: its id says so, and so does its replica's name.

s_ac10a819k3x0q7vd_...    the VM's address in hexadecimal digits, the replica there, a secret
"""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

from autobot.platform.topology import TopologyFile

ID = re.compile(r"[st]_(?P<replica>(?P<vm>[0-9a-f]{8})[0-9a-z]+)_[0-9a-zA-Z_-]{16,}")


def replica_name(address: str, replica: str) -> str:
    """Name ``replica``, letters and digits, on the VM with that IPv4 address."""
    return f"{int(ipaddress.IPv4Address(address)):08x}{replica}"


def replica_of(name: str) -> str | None:
    """Return which replica made an id; None for what is no id."""
    made = ID.fullmatch(name)
    return made["replica"] if made else None


def vm_of(name: str) -> str | None:
    """Return the address of the VM an id is of; None for what is no id."""
    made = ID.fullmatch(name)
    return str(ipaddress.IPv4Address(int(made["vm"], 16))) if made else None


def short(name: str) -> str:
    """Return what a log may have of an id: enough to tell it from others, too little to use it."""
    return name[:-18]


class OtherVms:
    """Gives the room's other VMs, address -> ``host:port``, as the topology names them now."""

    def __init__(self, own: str, port: int, file: Path) -> None:
        """``own`` is this VM's address; one that is no VM of the room has no others."""
        self._own = own
        self._port = port
        self._topology = TopologyFile(file)

    def __call__(self) -> Mapping[str, str]:
        topology = self._topology.of(self._own)
        addresses = topology.rooms["browser"].addresses if topology else ()
        if self._own not in addresses:
            return {}
        return {a: f"{a}:{self._port}" for a in addresses if a != self._own}
