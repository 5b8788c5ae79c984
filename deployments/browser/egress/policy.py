"""Which addresses a page may reach: pure decisions about names, URLs and addresses; no sockets.

A page may reach public unicast addresses and nothing else. The tables follow the IANA
special-purpose address registries (RFC 6890 and its successors); an IPv6 address that carries an
IPv4 one is judged by the address inside.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from autobot.errors import BlockedAddress, Invalid

Address = IPv4Address | IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

SPECIAL_V4 = [
    (IPv4Network("172.16.168.0/24"), "a cluster address"),
    (IPv4Network("0.0.0.0/8"), "an address of this host"),
    (IPv4Network("10.0.0.0/8"), "a private address"),
    (IPv4Network("100.64.0.0/10"), "a carrier-grade NAT address"),
    (IPv4Network("127.0.0.0/8"), "a loopback address"),
    (IPv4Network("168.63.129.16/32"), "a cloud platform's metadata address"),
    (IPv4Network("169.254.0.0/16"), "a link-local address"),
    (IPv4Network("172.16.0.0/12"), "a private address"),
    (IPv4Network("192.0.0.0/24"), "a protocol assignment"),
    (IPv4Network("192.0.2.0/24"), "a documentation address"),
    (IPv4Network("192.88.99.0/24"), "a 6to4 relay address"),
    (IPv4Network("192.168.0.0/16"), "a private address"),
    (IPv4Network("198.18.0.0/15"), "a benchmarking address"),
    (IPv4Network("198.51.100.0/24"), "a documentation address"),
    (IPv4Network("203.0.113.0/24"), "a documentation address"),
    (IPv4Network("224.0.0.0/4"), "a multicast address"),
    (IPv4Network("240.0.0.0/4"), "a reserved address"),
]
SPECIAL_V6 = [
    (IPv6Network("::1/128"), "a loopback address"),
    (IPv6Network("::/128"), "an address of this host"),
    (IPv6Network("fe80::/10"), "a link-local address"),
    (IPv6Network("fc00::/7"), "a private address"),
    (IPv6Network("ff00::/8"), "a multicast address"),
    (IPv6Network("2001::/23"), "a protocol assignment"),
    (IPv6Network("2001:db8::/32"), "a documentation address"),
    (IPv6Network("2002::/16"), "a 6to4 address"),
    (IPv6Network("3fff::/20"), "a documentation address"),
]
GLOBAL_V6 = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")


class Target(NamedTuple):
    """A host as the page wrote it, in canonical form, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def inside(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one only carries, else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def special_purpose(address: Address) -> str | None:
    """Say what kind of non-public address this is, or None for a public unicast one."""
    address = inside(address)
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in SPECIAL_V4 if address in network), None)
    for network, kind in SPECIAL_V6:
        if address in network:
            return kind
    return None if address in GLOBAL_V6 else "not a public address"


def _ipv4_number(text: str) -> int:
    """One part of an IPv4 address as browsers read it: decimal, 0octal or 0xhexadecimal."""
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text, 8) if len(text) > 1 and text[0] == "0" else int(text)


def _ipv4(host: str) -> IPv4Address | None:
    """The WHATWG URL standard's IPv4 parser: None for a name, ValueError for a broken address."""
    parts = host.split(".")
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()
    try:
        _ipv4_number(parts[-1])
    except ValueError:
        if not (parts[-1].isascii() and parts[-1].isdigit()):
            return None
        raise
    numbers = [_ipv4_number(part) for part in parts]
    *front, last = numbers
    if len(numbers) > 4 or any(n > 255 for n in front) or last >= 256 ** (5 - len(numbers)):
        raise ValueError(host)
    return IPv4Address(last + sum(n << 8 * (3 - place) for place, n in enumerate(front)))


def _ipv6(host: str) -> str:
    """An IPv6 address in brackets, as URLs have it. Browsers take no zone."""
    if not host.endswith("]") or "%" in host:
        raise ValueError(host)
    return str(IPv6Address(host[1:-1]))


def canonical_host(host: str) -> str:
    """Return ``host`` as a browser would: an address in its usual form, or a name in lower case.

    Reads every spelling of an address that browsers accept (decimal, octal, hexadecimal, short,
    full-width, percent-encoded, bracketed IPv6). Raises `Invalid` for what none of them accepts.
    """
    try:
        if host.startswith("["):
            return _ipv6(host)
        name = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").lower()
        address = _ipv4(name)
    except (AddressValueError, ValueError) as error:
        raise Invalid(f"`{host}` is not a host.") from error
    name = str(address) if address is not None else name.rstrip(".")
    if not name or any(not c.isprintable() or c in " /\\?#@:<>[]^|%" for c in name):
        raise Invalid(f"`{host}` is not a host.")
    return name


def listed_domain(pattern: str) -> str:
    """Return an entry of a list of domains, which covers its subdomains: ``*.`` adds nothing.

    Raises `Invalid` for what is no host.
    """
    return canonical_host(re.sub(r"^\*?\.", "", pattern))


def target_of(url: str) -> Target:
    """Return the host and port of a page's URL.

    Raises `BlockedAddress` when the scheme is not http(s), `Invalid` when there is no host.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise Invalid(f"`{url[:200]}` is not a URL.") from error
    if parts.scheme not in ("http", "https"):
        scheme = f"`{parts.scheme[:40]}:`" if parts.scheme else "a URL without a scheme"
        raise BlockedAddress(f"The browser visits http and https only, not {scheme}.")
    # What follows the last @ is the host; urlsplit lower-cases it but leaves its spelling alone.
    host = parts.netloc.rpartition("@")[2]
    bare = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else parts.hostname
    return Target(canonical_host(bare or ""), port or DEFAULT_PORTS[parts.scheme])


def parse_allowed(text: str) -> frozenset[Target]:
    """Read an owner's comma-separated ``host:port`` list; an IPv6 address goes in brackets."""
    targets: set[Target] = set()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        host, _, port = entry.rpartition(":")
        if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise Invalid(f"`{entry}` is not host:port.")
        targets.add(Target(canonical_host(host), int(port)))
    return frozenset(targets)


@dataclass(frozen=True)
class Domains:
    """Lists of domains, each with its subdomains. ``deny`` wins; an empty ``allow`` allows all.

    ``whose`` is told to the caller who is refused.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    whose: str = "session"

    def check(self, target: Target) -> None:
        """Raise `BlockedAddress` when the lists keep ``target`` out."""
        if _listed(target.host, self.deny):
            why = f"is on the deny list of this {self.whose}"
            raise BlockedAddress(f"{target} is blocked: {target.host} {why}.")
        if self.allow and not _listed(target.host, self.allow):
            why = f"is not on the allow list of this {self.whose}"
            raise BlockedAddress(f"{target} is blocked: {target.host} {why}.")


def _listed(host: str, domains: Iterable[str]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


@dataclass(frozen=True)
class Policy:
    """What may be reached. ``allowed`` opens exact targets; ``own`` is this machine.

    ``cluster`` gives the VMs' addresses as they are now, which need not be private ones.
    """

    allowed: frozenset[Target] = frozenset()
    own: frozenset[Address] = frozenset()
    cluster: Callable[[], Collection[Address]] = frozenset

    def check(self, target: Target, addresses: Iterable[Address]) -> None:
        """Raise `BlockedAddress` unless every one of ``addresses`` may be reached for ``target``.

        One bad address condemns the name: which one is tried first must not matter.
        """
        if target in self.allowed:
            return
        for address in addresses:
            if Target(str(address), target.port) in self.allowed:
                continue
            if kind := self.kind(address):
                raise BlockedAddress(explain(target, address, kind))

    def kind(self, address: Address) -> str | None:
        """Say why nobody is let to this address unasked; None for one of the outside world."""
        kind = special_purpose(address)
        if kind is None and inside(address) in self.own:
            kind = "an address of this machine"
        if kind is None and inside(address) in self.cluster():
            kind = "an address of the cluster"
        return kind


def explain(target: Target, address: Address, kind: str) -> str:
    """Say that ``target`` is blocked for ``address``, which is its own or was resolved."""
    if target.host == str(address):
        return f"{target} is blocked: {address} is {kind}."
    return f"{target} is blocked: it resolves to {address}, {kind}."


def literal(host: str) -> Address | None:
    """Return the address a canonical host spells, or None when it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
