"""`autobot doctor` says which ports the network reaches and what protects each."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from autobot.local.checks import public_ports
from autobot.local.exposure import (
    KEY,
    NOTHING,
    PROTECTION,
    RAYS,
    Listener,
    exposed,
    exposed_by,
    listeners,
)
from autobot.settings import Settings

LOCAL = ("127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1")
OPEN = ("0.0.0.0", "::", "192.168.1.5", "::ffff:10.0.0.4")


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """Where this process listens: address -> port."""
    with ExitStack() as stack:
        found: dict[str, int] = {}
        for address in ("127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(socket.socket(family))
            listener.bind((address, 0))
            listener.listen()
            found[address] = listener.getsockname()[1]
        yield found


def test_the_sockets_that_only_this_machine_reaches_are_told_from_the_others(
    ports: dict[str, int], tmp_path: Path
) -> None:
    this = psutil.Process()
    seen = {found.port: found for found in listeners([this])}
    assert {address: seen[port].is_local for address, port in ports.items()} == {
        "127.0.0.1": True,
        "0.0.0.0": False,
        "::ffff:127.0.0.1": True,
        "::": False,
    }
    found = {e.listener.port for e in exposed_by(Settings(home=tmp_path), this)}
    assert found & set(ports.values()) == {ports["0.0.0.0"], ports["::"]}


@pytest.mark.parametrize("address", LOCAL)
def test_loopback_is_not_exposed(address: str, tmp_path: Path) -> None:
    assert exposed(Settings(home=tmp_path), [Listener(8001, address, "haproxy")]) == []


@pytest.mark.parametrize("address", OPEN)
def test_each_port_has_its_protection(address: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    said = {
        name: exposed(settings, [Listener(port, address, "any")])[0].protection
        for name, port in public_ports(settings).items()
    }
    assert set(PROTECTION) <= set(said)
    assert said["http_port"] == said["browser_port"] == KEY
    assert "desktop_password" in said["desktop_port"]
    assert said["gcs_port"] == said["node_manager_port"] == RAYS
    assert said["metrics_port"] == said["haproxy_stats_port"] == NOTHING


def test_a_port_of_nobodys_choice_is_rays_or_unprotected(tmp_path: Path) -> None:
    found = [Listener(40001, "::", "ray::ServeReplica"), Listener(40002, "::", "haproxy")]
    assert [each.protection for each in exposed(Settings(home=tmp_path), found)] == [RAYS, NOTHING]
    assert "40002 (haproxy)" in str(exposed(Settings(home=tmp_path), found)[1])
