"""What the platform listens on: AUTOBOT_BIND and loopback, but for ports that ask for the token."""

import json
import urllib.request
from pathlib import Path

import grpc
import psutil
import pytest

from autobot.local.exposure import KEY, RAYS, Listener, listeners
from tests.platform import Platform


@pytest.fixture
def found(platform: Platform) -> list[Listener]:
    return listeners(platform.processes())


def test_haproxy_listens_on_loopback_only(platform: Platform, found: list[Listener]) -> None:
    """AUTOBOT_BIND is loopback here; statistics and metrics are there in any case."""
    haproxy = {each.port: each.address for each in found if each.program == "haproxy"}
    ports = ("http", "haproxy_stats", "haproxy_metrics")
    assert haproxy == {platform.port(name): "127.0.0.1" for name in ports}
    for name, path in (("haproxy_stats", "/stats"), ("haproxy_metrics", "/metrics")):
        url = f"http://127.0.0.1:{platform.port(name)}{path}"
        assert urllib.request.urlopen(url, timeout=10).status == 200


def test_haproxy_sends_no_log_anywhere(platform: Platform) -> None:
    """No datagram socket, and its configuration logs to a path where nobody listens."""
    ours = [p for p in platform.processes() if p.name() == "haproxy"]
    assert ours
    assert [p.net_connections("udp") for p in ours] == [[] for _ in ours]
    command = ours[0].cmdline()
    config = Path(command[command.index("-f") + 1]).read_text()
    targets = {
        line.split()[1] for line in config.splitlines() if line.strip().startswith("log ")
    } - {"global"}
    assert all(Path(target).is_absolute() for target in targets), targets
    listening = {c.laddr for c in psutil.net_connections("unix")}
    assert {target for target in targets if target in listening} <= {
        target for target in targets if target.endswith("/m")
    }
    assert "mode 666" not in config


def test_what_the_network_reaches_asks_for_rays_token(
    platform: Platform, found: list[Listener]
) -> None:
    """Each replica's port for calls between rooms: Ray has no setting for its address."""
    reachable = [each for each in found if not each.is_local]
    assert {each.program.partition(":")[0] for each in reachable} <= {"ray"}, reachable
    assert all("ServeRepli" in each.program for each in reachable), reachable
    for each in reachable:
        with grpc.insecure_channel(f"127.0.0.1:{each.port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, each


def test_the_doctor_tells_what_the_network_reaches(
    platform: Platform, found: list[Listener]
) -> None:
    said = json.loads(platform.run("doctor", "--json", check=False).stdout)
    assert {row["port"] for row in said["reachable"]} == {
        each.port for each in found if not each.is_local
    }
    assert {row["protection"] for row in said["reachable"]} <= {RAYS, KEY}
