"""The lab's wires: one namespace per system, all plugged into a bridge in a namespace of its own.

No namespace has a link to the machine's own network, so no packet leaves the lab. The operator's
namespace is the others' default gateway only so that they have a route to refuse: it answers
'unreachable' at once instead of letting a connection to the outside wait for its timeout.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.processes import command_of

from .host import NETNS_DIR, LabError, execute, kill, processes_in, start

OPERATOR = "operator"
SWITCH = "switch"
CABLE = Path(__file__).with_name("cable.py")


class Network:
    """The namespaces `ab-LAB-MEMBER`; members are the rooms and the operator."""

    def __init__(self, lab: str, rooms: Mapping[str, str]) -> None:
        self._lab = lab
        networks = {ipaddress.ip_interface(f"{address}/24").network for address in rooms.values()}
        if len(networks) != 1:
            raise LabError(f"the rooms' addresses are not in one /24: {dict(rooms)}")
        self.subnet = networks.pop()
        self.gateway = str(next(self.subnet.hosts()))
        if self.gateway in rooms.values():
            raise LabError(f"{self.gateway} is the operator's address; no room can have it")
        self._members = {**rooms, OPERATOR: self.gateway}

    def namespace(self, member: str) -> str:
        """The name of a member's namespace, as `ip netns` lists it."""
        return f"ab-{self._lab}-{member}"

    def path(self, member: str) -> Path:
        """The file that names a member's namespace."""
        return NETNS_DIR / self.namespace(member)

    def inside(self, member: str) -> list[str]:
        """The command prefix that runs a program of the machine in a member's namespace."""
        return ["nsenter", f"--net={self.path(member)}", "--"]

    def exists(self) -> bool:
        """Whether every namespace is there, each member's cable plugged in."""
        if not all(self.path(member).exists() for member in (SWITCH, *self._members)):
            return False
        return set(self._members) <= set(self._ports())

    def up(self) -> None:
        """Build all of it; whatever a broken earlier lab of this name left is removed first."""
        if self.exists():
            return
        self.down()
        for member in (SWITCH, *self._members):
            execute(["ip", "netns", "add", self.namespace(member)])
        self._sysctl(SWITCH, "net/ipv6/conf/default/disable_ipv6", "1")
        self._sysctl(OPERATOR, "net/ipv4/ip_forward", "1")
        self._ip(SWITCH, "link add br0 type bridge stp_state 0", "link set br0 up")
        for member, address in self._members.items():
            self._ip(
                SWITCH,
                f"link add {member} type veth peer name eth0 netns {self.namespace(member)}",
                f"link set {member} master br0 up",
            )
            outside = "unreachable default" if member == OPERATOR else f"default via {self.gateway}"
            self._ip(
                member,
                "link set lo up",
                f"addr add {address}/{self.subnet.prefixlen} dev eth0",
                "link set eth0 up",
                f"route add {outside}",
            )

    def down(self) -> None:
        """End every process that lives in the namespaces, then remove them."""
        for member in (SWITCH, *self._members):
            kill(processes_in(self.path(member)))
            if self.path(member).exists():
                execute(["ip", "netns", "delete", self.namespace(member)])

    def plug(self, room: str, *, connected: bool) -> None:
        """Set a room's switch port up or down: the same as its cable pulled or put back."""
        self._ip(SWITCH, f"link set {room} {'up' if connected else 'down'}")

    def cable(self, room: str) -> str:
        """How a room's cable is: `good`, `slow`, `pulled`, or `none` when there is no network."""
        ports = self._ports()
        if room not in ports:
            return "none"
        if "UP" not in ports[room]:
            return "pulled"
        return "slow" if f"{room}-far" in ports else "good"

    def slow(self, room: str, delay_ms: float, loss_pct: float) -> None:
        """Replace a room's cable by one that delays each frame and loses some, each way.

        Both zero puts the good cable back. `tc netem` would do, but many kernels lack it.
        """
        if not 0 <= delay_ms <= 10_000 or not 0 <= loss_pct <= 100:
            raise LabError(f"no cable delays {delay_ms} ms and loses {loss_pct} %: 0-10000, 0-100")
        self._good_cable(room)
        if delay_ms == 0 and loss_pct == 0:
            return
        self._ip(
            SWITCH,
            f"link add {room}-near type veth peer name {room}-far",
            f"link set {room} nomaster",
            f"link set {room}-near up",
            f"link set {room}-far master br0 up",
        )
        argv = [sys.executable, str(CABLE), room, f"{room}-near", str(delay_ms), str(loss_pct)]
        reading, writing = os.pipe()
        with os.fdopen(reading) as said:
            start([*self.inside(SWITCH), *argv], stdout=writing, stderr=writing)
            os.close(writing)
            first = said.readline()
            if first != "carrying\n":
                raise LabError(f"{room}'s slow cable did not start: {first}{said.read()}")

    def _good_cable(self, room: str) -> None:
        mine = [p for p in processes_in(self.path(SWITCH)) if f"{room}-near" in command_of(p)]
        kill(mine)
        if f"{room}-far" in self._ports():
            self._ip(SWITCH, f"link delete {room}-far", f"link set {room} master br0")

    def _ports(self) -> dict[str, list[str]]:
        if not self.path(SWITCH).exists():
            return {}
        shown = execute(["ip", "-json", "-n", self.namespace(SWITCH), "link", "show"], check=False)
        if shown.returncode != 0:
            return {}
        return {link["ifname"]: link["flags"] for link in json.loads(shown.stdout)}

    def _ip(self, member: str, *commands: str) -> None:
        batch = "\n".join(commands) + "\n"
        execute(["ip", "-n", self.namespace(member), "-batch", "-"], stdin=batch)

    def _sysctl(self, member: str, key: str, value: str) -> None:
        execute([*self.inside(member), "sh", "-c", f"echo {value} > /proc/sys/{key}"])
