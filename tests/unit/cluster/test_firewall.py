"""The firewall of each VM is well-formed and lets in what the room needs, nobody else."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from autobot.cluster.firewall import render_firewall
from autobot.manifests import rooms
from autobot.settings import Settings
from tests.unit.cluster.configs import topology

ROOMS = tuple(rooms())

NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
NAMESPACE = ["unshare", "--net", "--"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def rules(settings: Settings, room: str) -> list[str]:
    return [line.strip() for line in render_firewall(topology(), settings, room).splitlines()]


@pytest.mark.parametrize("room", ROOMS)
def test_everything_is_dropped_but_what_is_listed(settings: Settings, room: str) -> None:
    assert "type filter hook input priority filter; policy drop;" in rules(settings, room)


@pytest.mark.skipif(NFT is None, reason="nft is not installed (apt-get install nftables)")
@pytest.mark.parametrize("room", ROOMS)
def test_the_kernel_takes_the_ruleset_twice(settings: Settings, room: str, tmp_path: Path) -> None:
    text = render_firewall(topology(), settings, room).replace("autobot-browser", "nobody")
    (tmp_path / "firewall.nft").write_text(text)
    load = f"{NFT} -f {tmp_path}/firewall.nft"
    # In a network namespace of its own: this machine's firewall stays as it is.
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", f"{load} && {load} && {NFT} list table inet autobot"],
        capture_output=True,
        text=True,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("this user may not make a network namespace")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("policy drop") == 1, "loading it again must replace it"


def test_redis_answers_its_clients_only(settings: Settings) -> None:
    opened = [rule for rule in rules(settings, "redis") if "6379" in rule]
    assert opened == ["tcp dport 6379 ip saddr @redis_clients accept"]
    assert (
        "set redis_clients { type ipv4_addr; "
        "elements = { 172.16.168.20, 172.16.168.22, 172.16.168.24 } }"
    ) in rules(settings, "redis")


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "redis"])
def test_the_browser_vm_is_turned_away_before_a_rooms_port_opens(
    settings: Settings, room: str
) -> None:
    lines = rules(settings, room)
    port = settings.room_port(room)
    names_it = re.compile(rf"\b{port}\b")
    turned_away = lines.index("ip saddr @browser drop")
    opened = [
        place for place, rule in enumerate(lines) if names_it.search(rule) and "accept" in rule
    ]
    before = [lines[place] for place in opened if place < turned_away]
    # The ingress; and the VMs of room browser, which pass requests on to each other.
    allowed = [f"tcp dport {port} ip saddr @browser accept"] if room in ("main", "browser") else []
    assert before == allowed
    assert len(opened) > len(before)


@pytest.mark.parametrize("room", ROOMS)
def test_metrics_and_replicas_answer_main_only(settings: Settings, room: str) -> None:
    inside = [rule for rule in rules(settings, room) if "8404" in rule or "30000" in rule]
    assert inside == [
        "tcp dport { 52365, 52366, 52372, 8404, 9101, 30000-31000 } ip saddr @main accept"
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_ssh_opens_to_main_and_admins_but_to_no_other_vm(settings: Settings, room: str) -> None:
    ssh = [rule for rule in rules(settings, room) if "dport 22 " in rule]
    assert ssh == [
        "tcp dport 22 ip saddr @main accept",
        "tcp dport 22 ip saddr @cluster drop",
        "tcp dport 22 ip saddr 172.16.168.0/24 accept",
    ]


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "frontend"])
def test_the_interfaces_port_opens_on_frontend_only(settings: Settings, room: str) -> None:
    assert not any("5173" in rule for rule in rules(settings, room))


def test_chromium_reaches_the_proxy_on_loopback_and_nothing_else(settings: Settings) -> None:
    chromium = [rule for rule in rules(settings, "browser") if "skuid" in rule]
    assert chromium[-1] == 'meta skuid { "autobot-browser", 1900000000-1900065535 } drop'
    assert all("127.0.0.1" in rule for rule in chromium if rule.endswith("accept"))
