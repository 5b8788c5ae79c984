"""What the owner opens for steps, and what nothing opens."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from autobot.errors import BlockedAddress, Invalid
from autobot.settings import Settings
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Address, Target
from deployments.browser.outside.policy import OutsidePolicy, outside_connector, parse_opened

OWN, VM, REDIS = map(ip_address, ("192.168.1.9", "192.168.1.20", "172.16.168.23"))


def policy(opened: str) -> OutsidePolicy:
    own = frozenset({OWN, ip_address("127.0.0.1")})
    return OutsidePolicy(parse_opened(opened), own, lambda: {VM, REDIS})


def admitted(opened: str, host: str, port: int, *addresses: str) -> bool:
    try:
        policy(opened).check(Target(host, port), map(ip_address, addresses or (host,)))
    except BlockedAddress:
        return False
    return True


CLOSED = [
    "10.0.0.5",
    "192.168.1.5",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.168.25",
    "fd00::5",
    "fe80::1",
    "::1",
    "::ffff:192.168.1.5",
    "64:ff9b::c0a8:105",
    str(OWN),
    str(VM),
]


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_named_is_closed_and_what_is_named_exactly_is_open(address: str) -> None:
    assert not admitted("", address, 80)
    assert not admitted("192.168.1.77, [fd00::77]:80", address, 80)
    assert admitted(address, address, 80)
    assert admitted(f"[{address}]:80" if ":" in address else f"{address}:80", address, 80)


def test_the_outside_world_needs_no_opening() -> None:
    assert admitted("", "8.8.8.8", 443)
    assert admitted("", "name.example", 443, "8.8.8.8", "2606:4700::1")
    assert admitted("", "mail.example", 6379, "8.8.8.8"), "the port is Redis', the machine is not"


@pytest.mark.parametrize("spelling", ["192.168.1.5", "::ffff:192.168.1.5", "64:ff9b::c0a8:105"])
def test_an_address_is_open_however_it_is_carried(spelling: str) -> None:
    for opened in ("192.168.1.5", "192.168.1.5:80", "::ffff:192.168.1.5", "0xc0a80105"):
        assert admitted(opened, spelling, 80), opened
        assert not admitted(opened, "192.168.1.6", 80)


def test_a_port_opens_no_other() -> None:
    assert not admitted("192.168.1.5:80", "192.168.1.5", 81)
    assert not admitted("[fd00::5]:80", "fd00::5", 81)


def test_a_name_opens_the_household_and_nothing_of_this_platform() -> None:
    assert admitted("nas.lan:443", "nas.lan", 443, "192.168.1.5", "fd00::5")
    assert not admitted("nas.lan:443", "other.lan", 443, "192.168.1.5")
    for rebound in ("127.0.0.1", "169.254.169.254", "::1", "fe80::1", str(OWN), str(VM)):
        assert not admitted("nas.lan", "nas.lan", 443, rebound)
        assert not admitted("nas.lan", "nas.lan", 443, "192.168.1.5", rebound)


@pytest.mark.parametrize("address", ["127.0.0.1", str(OWN), str(REDIS), str(VM), "::1"])
def test_nothing_opens_redis(address: str) -> None:
    assert admitted(address, address, 6380)
    for opened in (address, f"[{address}]:6379" if ":" in address else f"{address}:6379"):
        assert not admitted(opened, address, 6379)
    assert not admitted("redis.lan:6379", "redis.lan", 6379, address)
    assert admitted("192.168.1.5:6379", "192.168.1.5", 6379), "the owner's own Redis elsewhere"


async def test_a_name_that_changes_its_address_is_judged_by_each_of_them() -> None:
    answers = iter((["192.168.1.5"], ["127.0.0.1"]))

    async def resolve(host: str, port: int) -> list[Address]:
        return [ip_address(one) for one in next(answers)]

    connector = Connector(policy("nas.lan"), resolve)
    assert await connector.admit(Target("nas.lan", 80)) == [ip_address("192.168.1.5")]
    with pytest.raises(BlockedAddress, match=r"127\.0\.0\.1, a loopback address"):
        await connector.admit(Target("nas.lan", 80))


@pytest.mark.parametrize(
    "text", ["host:", ":80", "host:0", "host:65536", "host:http", "a b", "[x]"]
)
def test_a_malformed_entry_is_named(text: str) -> None:
    with pytest.raises(Invalid):
        parse_opened(text)


def test_entries_may_be_hosts_addresses_and_ports() -> None:
    text = "192.168.1.5, NAS.lan:443,fd00::5,[fd00::6],[fd00::7]:80,"
    opened: Sequence[tuple[str, int]] = [
        ("192.168.1.5", 0),
        ("nas.lan", 443),
        ("fd00::5", 0),
        ("fd00::6", 0),
        ("fd00::7", 80),
    ]
    assert parse_opened(text) == {Target(*one) for one in opened}


async def test_the_setting_opens_it_and_that_of_pages_does_not() -> None:
    target = Target("192.168.77.5", 80)
    await outside_connector(Settings(egress_allow="192.168.77.5:80")).admit(target)
    with pytest.raises(BlockedAddress, match="egress_allow"):
        await outside_connector(Settings(browser_allow="192.168.77.5:80")).admit(target)
