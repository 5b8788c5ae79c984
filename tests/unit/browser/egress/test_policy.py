"""Names, URLs and addresses: what a page may reach."""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocket

from autobot.errors import BlockedAddress, Invalid
from deployments.browser.egress.connector import ClusterAddresses
from deployments.browser.egress.policy import (
    Domains,
    Policy,
    Target,
    canonical_host,
    listed_domain,
    parse_allowed,
    special_purpose,
    target_of,
)
from deployments.browser.protocols.api import domains_of

# Python 3.13 writes an embedded IPv4 address with dots, 3.11 without.
MAPPED = str(ip_address("::ffff:7f00:1"))

NOT_PUBLIC = {
    "0.0.0.0": "this host",
    "0.1.2.3": "this host",
    "10.0.0.1": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "172.16.168.23": "cluster",
    "192.0.0.192": "protocol assignment",
    "192.168.1.1": "private",
    "192.88.99.1": "6to4",
    "198.18.0.1": "benchmarking",
    "203.0.113.9": "documentation",
    "224.0.0.251": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "this host",
    "::1": "loopback",
    "::127.0.0.1": "not a public",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.1.2.3": "private",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local",
    "64:ff9b:1::1": "not a public",
    "100::1": "not a public",
    "2001::1": "protocol assignment",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::": "6to4",
    "3fff::1": "documentation",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fec0::1": "not a public",
    "ff02::1": "multicast",
}

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]

LOOPBACK_SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0X7F.1",
    "0177.0.0.1",
    "017700000001",
    "0177.0x0.0.1",
    "127.0.0.1.",
    "%31%32%37.0.0.1",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1",
]


@pytest.mark.parametrize(("address", "kind"), NOT_PUBLIC.items())
def test_special_purpose_addresses_are_named(address: str, kind: str) -> None:
    assert kind in (special_purpose(ip_address(address)) or "public")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not_special(address: str) -> None:
    assert special_purpose(ip_address(address)) is None


@given(st.ip_addresses())
def test_nothing_python_calls_private_passes(address: object) -> None:
    known = ip_address(str(address))
    if not known.is_global and special_purpose(known) is None:
        inside = getattr(known, "ipv4_mapped", None)
        assert inside is not None
        assert inside.is_global


@pytest.mark.parametrize("spelling", LOOPBACK_SPELLINGS)
def test_every_spelling_of_loopback_is_read_as_browsers_read_it(spelling: str) -> None:
    assert canonical_host(spelling) == "127.0.0.1"
    with pytest.raises(BlockedAddress, match=r"127\.0\.0\.1 is a loopback address"):
        Policy().check(target_of(f"http://{spelling}/"), [ip_address("127.0.0.1")])


@given(st.ip_addresses(v=4))
def test_decimal_octal_and_hexadecimal_spell_the_same_address(address: object) -> None:
    number = int(ip_address(str(address)))
    for spelling in (str(number), hex(number), f"0{number:o}"):
        assert canonical_host(spelling) == str(address)


@pytest.mark.parametrize(
    "host", ["256.0.0.1", "1.2.3.4.5", "08.1.1.1", "1..2", "0x1g.1", "4294967296"]
)
def test_broken_addresses_are_not_hosts(host: str) -> None:
    with pytest.raises(Invalid):
        canonical_host(host)


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "a%00b", "a\nb", "[::1", "[::g]", ".", "::1", "[fe80::1%eth0]"]
)
def test_malformed_hosts_are_refused(host: str) -> None:
    with pytest.raises(Invalid):
        canonical_host(host)


def test_names_keep_their_spelling_in_lower_case() -> None:
    assert canonical_host("WWW.Example.COM.") == "www.example.com"
    assert canonical_host("0x7f.example") == "0x7f.example"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.com", Target("example.com", 80)),
        ("https://example.com/a?b#c", Target("example.com", 443)),
        ("https://user:secret@example.com:8443/", Target("example.com", 8443)),
        ("http://evil.example@127.0.0.1/", Target("127.0.0.1", 80)),
        ("http://[::1]:8080/", Target("::1", 8080)),
        ("http://[0:0:0:0:0:ffff:7f00:1]/", Target(MAPPED, 80)),
        ("  http://example.com/ ", Target("example.com", 80)),
    ],
)
def test_the_target_of_a_url_is_its_host_and_port(url: str, target: Target) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "data:text/html,hi",
        "chrome://sandbox",
        "about:blank",
        "javascript:alert(1)",
        "view-source:http://example.com",
        "ftp://example.com/",
        "blob:http://example.com/1",
        "example.com",
    ],
)
def test_only_http_and_https_are_visited(url: str) -> None:
    with pytest.raises(BlockedAddress, match="http and https only"):
        target_of(url)


@pytest.mark.parametrize(
    "url", ["http://", "http:///x", "http://a:99999/", "http://[::1/", "http://:80/"]
)
def test_a_url_without_a_host_is_invalid(url: str) -> None:
    with pytest.raises(Invalid):
        target_of(url)


def test_one_private_address_among_public_ones_condemns_the_name() -> None:
    mixed = [ip_address("8.8.8.8"), ip_address("192.168.0.1")]
    with pytest.raises(BlockedAddress, match=r"resolves to 192\.168\.0\.1, a private address"):
        Policy().check(Target("mixed.example", 80), mixed)


def test_this_machines_public_address_is_blocked() -> None:
    policy = Policy(own=frozenset([ip_address("8.8.4.4")]))
    with pytest.raises(BlockedAddress, match="this machine"):
        policy.check(Target("8.8.4.4", 80), [ip_address("8.8.4.4")])
    policy.check(Target("8.8.8.8", 80), [ip_address("8.8.8.8")])


@pytest.mark.parametrize("spelling", ["8.8.4.4", "::ffff:8.8.4.4", "64:ff9b::808:404"])
def test_the_clusters_addresses_are_blocked_whatever_range_they_are_in(spelling: str) -> None:
    vms = {ip_address("8.8.4.4")}
    policy = Policy(cluster=lambda: vms)
    with pytest.raises(BlockedAddress, match="an address of the cluster"):
        policy.check(Target("name.example", 80), [ip_address(spelling)])
    with pytest.raises(BlockedAddress, match="an address of this machine"):
        Policy(own=frozenset(vms)).check(Target(spelling, 80), [ip_address(spelling)])
    vms.clear()
    policy.check(Target("name.example", 80), [ip_address(spelling)])


def test_the_clusters_addresses_are_those_of_its_file_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    known = ClusterAddresses(file)
    assert known() == frozenset()
    rooms = ("main", "frontend", "npu", "redis", "llm", "browser")
    for third in (3, 4):
        listed = {room: {"addresses": [f"8.8.{third}.{n}"]} for n, room in enumerate(rooms, 1)}
        file.write_text(json.dumps({"provider": {"rooms": listed}}) + " " * third)
        assert ip_address(f"8.8.{third}.6") in known()
        assert len(known()) == 6


def test_an_allowed_target_opens_its_port_and_no_other() -> None:
    policy = Policy(parse_allowed("127.0.0.1:8000, intranet:80,[::1]:9"))
    loopback = ip_address("127.0.0.1")
    policy.check(Target("127.0.0.1", 8000), [loopback])
    policy.check(Target("localhost", 8000), [loopback])
    policy.check(Target("intranet", 80), [ip_address("10.0.0.5")])
    policy.check(Target("::1", 9), [ip_address("::1")])
    for target in (Target("127.0.0.1", 8001), Target("127.0.0.2", 8000)):
        with pytest.raises(BlockedAddress):
            policy.check(target, [ip_address(target.host)])
    with pytest.raises(BlockedAddress):
        policy.check(Target("intranet", 81), [ip_address("10.0.0.5")])


@pytest.mark.parametrize("text", ["127.0.0.1", "host:", ":80", "host:0", "host:65536", "host:http"])
def test_a_malformed_allowed_entry_is_named(text: str) -> None:
    with pytest.raises(Invalid, match=text):
        parse_allowed(text)


@pytest.mark.parametrize(
    ("allow", "deny", "host", "kept_out"),
    [
        ((), (), "example.com", None),
        (("example.com",), (), "example.com", None),
        (("example.com",), (), "www.example.com", None),
        (("example.com",), (), "notexample.com", "allow list"),
        (("example.com",), (), "example.com.evil.org", "allow list"),
        ((), ("example.com",), "a.b.example.com", "deny list"),
        (("example.com",), ("ads.example.com",), "ads.example.com", "deny list"),
    ],
)
def test_lists_of_domains_cover_subdomains_and_deny_wins(
    allow: tuple[str, ...], deny: tuple[str, ...], host: str, kept_out: str | None
) -> None:
    domains = Domains(allow, deny)
    if kept_out is None:
        domains.check(Target(host, 443))
        return
    with pytest.raises(BlockedAddress, match=kept_out):
        domains.check(Target(host, 443))


@pytest.mark.parametrize("written", ["example.com", "*.example.com", ".EXAMPLE.com"])
def test_a_star_in_front_of_a_listed_domain_adds_nothing(written: str) -> None:
    assert listed_domain(written) == "example.com"


def test_the_lists_of_a_protocol_connection_read_a_star_as_those_of_a_session_do() -> None:
    scope = {"type": "websocket", "query_string": b"deny=*.example.com,ads.example.org"}

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is sent or received")

    domains = domains_of(WebSocket(scope, nothing, nothing))
    assert domains == Domains((), ("example.com", "ads.example.org"), "connection")
