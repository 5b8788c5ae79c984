"""The lab keeps its promises: real machines, each fault its own, and nothing left behind."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .conftest import bury_the_dead
from .lab import VM, Hardware, Lab, LabError
from .lab.image import make_disk

pytestmark = pytest.mark.timeout(120)

CHECKOUT = Path(__file__).parents[2]
ROUND_TRIP = """
import socket, sys, time
start = time.monotonic()
socket.create_connection((sys.argv[1], 22), timeout=float(sys.argv[2])).close()
print(time.monotonic() - start)
"""


def round_trip(source: VM, target: VM, timeout: float = 5.0) -> float:
    """Seconds that a TCP handshake takes from one VM to another's SSH server; LabError if none."""
    argv = ["python3", "-", target.address, str(timeout)]
    return float(source.run(argv, stdin=ROUND_TRIP, timeout=timeout + 15).stdout)


def best_round_trip(source: VM, target: VM) -> float:
    """The least of three, as a busy machine delays any one of them."""
    return min(round_trip(source, target) for _ in range(3))


def traces(lab: Lab) -> list[str]:
    """Everything on this machine that only a lab of this name can have made."""
    mark = lab.network.namespace("")
    found = [f"namespace {path}" for path in Path("/run/netns").glob(f"{mark}*")]
    found += [f"group {path}" for path in Path("/sys/fs/cgroup").glob(f"*/{mark}*")]
    found += [
        f"state {path}" for path in (lab.home, lab.home.with_suffix(".lock")) if path.exists()
    ]
    found += [
        f"mount {line}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if str(lab.home) in line or mark in line
    ]
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        if device.read_text().startswith(str(lab.home)):
            found.append(f"loop {device}")
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(lab.home) in words or mark in words:
            found.append(f"process {process.pid} {words}")
    return found


@pytest.fixture(scope="module")
def lab(bare_lab: Lab) -> Lab:
    """Not the one the platform runs in, which has a firewall and much to lose."""
    return bare_lab


@pytest.fixture
def npu(lab: Lab) -> Iterator[VM]:
    """A VM to break, whole again afterwards."""
    vm = lab.vm("npu")
    yield vm
    vm.slow()
    vm.heal()
    vm.power_on()


def test_every_room_is_a_debian_of_its_own(lab: Lab) -> None:
    script = "hostname; cat /etc/machine-id; . /etc/os-release; echo $ID; sudo -n id -un; id -un"

    def ask(vm: VM) -> list[str]:
        return [vm.state(), *vm.run(script).stdout.split()]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        told = dict(zip(lab.rooms, pool.map(ask, lab.vms()), strict=True))
    for room, (state, hostname, _, distribution, sudo_user, user) in told.items():
        expected = ("running", room, "debian", "root", "autobot")
        assert (state, hostname, distribution, sudo_user, user) == expected
    assert len({facts[2] for facts in told.values()}) == len(lab.rooms)


def test_rooms_have_the_addresses_of_the_real_installation(lab: Lab) -> None:
    for vm in lab.vms():
        links = json.loads(vm.shell(["ip", "-json", "-4", "addr", "show", "eth0"]).stdout)
        assert [entry["local"] for entry in links[0]["addr_info"]] == [lab.rooms[vm.room]]


def test_vm_sees_nothing_of_this_machines_own(lab: Lab) -> None:
    vm = lab.vm("browser")
    seen = set(vm.run(["ls", "-A", "/"]).stdout.split())
    debian = {
        "bin",
        "boot",
        "dev",
        "etc",
        "home",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "media",
        "mnt",
    }
    assert seen <= debian | {
        "opt",
        "proc",
        "root",
        "run",
        "sbin",
        "srv",
        "sys",
        "tmp",
        "usr",
        "var",
    }
    # Debian's own systemd makes /root/.ssh.
    assert vm.shell("ls -A /root; ls -A /opt /mnt /usr/local/bin").stdout.split() == [
        *(".ssh", "/mnt:", "/opt:", "/usr/local/bin:")
    ]
    assert vm.run(["ls", "/home"]).stdout.split() == ["autobot"]
    for path in (CHECKOUT, lab.home):
        assert vm.shell(["test", "-e", str(path)], check=False).returncode == 1


def test_other_users_of_this_machine_read_no_disk_of_a_vm(lab: Lab, tmp_path: Path) -> None:
    make_disk(tmp_path / "disk.img", 64 << 20)
    for disk in (tmp_path / "disk.img", *(vm.home / "disk.img" for vm in lab.vms())):
        assert disk.stat().st_mode & 0o077 == 0, disk


def test_vm_has_debians_python_and_no_other(lab: Lab) -> None:
    paths = lab.vm("npu").run("readlink -f $(which -a python3) | sort -u").stdout.split()
    assert len(paths) == 1
    assert re.fullmatch(r"/usr/bin/python3\.\d+", paths[0])


def test_vm_cannot_reach_this_machines_loopback(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=3)"
        told = lab.vm("browser").run(["python3", "-c", reach], check=False)
    assert told.returncode != 0
    assert "Connection refused" in told.stderr


def test_lab_has_no_way_out_and_this_machine_no_way_in(lab: Lab) -> None:
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "172.16.168." not in routes
    # 192.0.2.0/24 is documentation's; whatever of this machine's is there, the lab has no link to.
    reach = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    start = time.monotonic()
    told = lab.vm("llm").run(["python3", "-c", reach], check=False)
    assert "No route to host" in told.stderr
    assert time.monotonic() - start < 5
    links = lab.operator(["ip", "-json", "link"]).stdout
    assert {link["ifname"] for link in json.loads(links)} - {"lo", "eth0"} == set()


def test_cache_is_readable_and_writes_to_it_stay_in_the_vm(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "uv").mkdir(parents=True)
    (cache / "uv" / "wheel").write_text("from the host")
    (cache / "uv" / "wheel").chmod(0o600)
    small = Lab(f"test-{os.getpid()}-cache", cache=cache, rooms={"npu": "172.16.168.22"})
    try:
        small.up()
        vm = small.vm("npu")
        seen = vm.run(
            "cat $UV_CACHE_DIR/wheel; echo changed > $UV_CACHE_DIR/wheel; env | grep ^UV_"
        )
        assert "from the host" in seen.stdout
        assert "UV_OFFLINE=1" in seen.stdout
        assert vm.run("cat $UV_CACHE_DIR/wheel").stdout == "changed\n"
    finally:
        small.down()
    assert (cache / "uv" / "wheel").read_text() == "from the host"


def test_power_cut_tells_nobody_and_keeps_the_disk(npu: VM) -> None:
    listener = "trap ': > told; exit' TERM; touch ready; while :; do sleep 0.1; done"
    npu.shell(["systemd-run", "--uid=autobot", "-p", "WorkingDirectory=~", "sh", "-c", listener])
    npu.run("until [ -e ready ]; do sleep 0.1; done; echo kept > kept")
    npu.power_off()
    assert not npu.is_running()
    with pytest.raises(LabError, match="off"):
        npu.shell("true")
    npu.power_on()
    assert npu.run("cat kept; ls").stdout.split() == ["kept", "kept", "ready"]


def test_machine_reboots_by_its_own_command_too(npu: VM) -> None:
    first = started(npu)
    npu.reboot()
    second = started(npu)
    assert second != first
    npu.run("sudo systemctl reboot", check=False)
    deadline = time.monotonic() + 30
    while started(npu) in (second, ""):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def started(vm: VM) -> str:
    """When its system began; empty while it is down, or has not said so yet."""
    try:
        return vm.shell("systemctl show --property=UserspaceTimestampMonotonic", check=False).stdout
    except LabError:
        return ""


def test_partition_cuts_one_room_and_heal_restores_it(lab: Lab, npu: VM) -> None:
    main, redis = lab.vm("main"), lab.vm("redis")
    npu.partition()
    with pytest.raises(LabError, match=r"timed out|No route"):
        round_trip(main, npu, timeout=1)
    assert round_trip(main, redis) < 1
    assert npu.shell("echo alive").stdout == "alive\n"
    npu.heal()
    assert round_trip(main, npu) < 5


def test_slow_cable_delays_each_way_and_only_its_room(lab: Lab, npu: VM) -> None:
    main, redis = lab.vm("main"), lab.vm("redis")
    npu.slow(delay_ms=150)
    assert npu.cable() == "slow"
    assert 0.29 < best_round_trip(main, npu) < 2.0
    assert best_round_trip(main, redis) < 0.29
    npu.slow()
    assert npu.cable() == "good"
    assert best_round_trip(main, npu) < 0.29


def test_cable_that_loses_all_carries_nothing(lab: Lab, npu: VM) -> None:
    npu.slow(loss_pct=100)
    with pytest.raises(LabError, match=r"timed out|No route"):
        round_trip(lab.vm("main"), npu, timeout=1)


def test_slow_cable_carries_bulk_data_whole(npu: VM) -> None:
    npu.slow(delay_ms=5)
    text = "0123456789abcdef" * 65_536
    told = npu.run("tee copy | sha256sum; sha256sum < copy", stdin=text).stdout.split()
    here = subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True)
    assert told[0] == told[2] == here.stdout.split()[0]


def test_full_disk_is_full_for_its_room_alone(lab: Lab, npu: VM) -> None:
    npu.fill_disk()
    try:
        write = "head -c 1000000 /dev/zero > /tmp/more"
        assert "No space left on device" in npu.run(write, check=False).stderr
        blocks = npu.shell("head -c 8192 /dev/zero > /var/tmp/two-blocks", check=False)
        assert "No space left on device" in blocks.stderr, "root's reserve is taken too"
        assert lab.vm("redis").run(write).returncode == 0
    finally:
        npu.free_disk()
    assert npu.run(write).returncode == 0


def test_fill_disk_takes_what_it_is_told(npu: VM) -> None:
    before = npu.free_bytes()
    npu.fill_disk(2**30)
    assert before - npu.free_bytes() == pytest.approx(2**30, rel=0.01)
    npu.free_disk()
    assert npu.free_bytes() == pytest.approx(before, rel=0.01)


def test_vm_has_room_for_rays_object_store_and_its_own_firewall(lab: Lab) -> None:
    vm = lab.vm("browser")
    assert int(vm.run("df --output=size -B1 /dev/shm | tail -1").stdout) >= 2**30
    rule = "add table inet t; add chain inet t o { type filter hook output priority 0; }; "
    rule += f"add rule inet t o ip daddr {lab.rooms['redis']} reject"
    vm.shell(["nft", rule])
    try:
        with pytest.raises(LabError, match="refused"):
            round_trip(vm, lab.vm("redis"))
        assert round_trip(lab.vm("llm"), lab.vm("redis")) < 5
    finally:
        vm.shell("nft delete table inet t")


def test_commands_that_hang_are_ended_in_time(lab: Lab) -> None:
    start = time.monotonic()
    with pytest.raises(LabError, match="did not end in 1 s"):
        lab.vm("main").run("sleep 60", timeout=1)
    with pytest.raises(LabError, match="did not end in 1 s"):
        lab.operator(["sh", "-c", "sleep 61 & wait"], timeout=1)
    assert time.monotonic() - start < 10


def test_machine_that_cannot_be_a_lab_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sudo").write_text("")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setattr("tests.cluster.lab.lab.SEARCH", str(tmp_path))
    (reason,) = Lab("test-lacking").missing()
    words = reason.split()
    assert {"apt-get", "systemd-container", "openssh-server", "nftables"} <= set(words)
    assert "sudo" not in words
    with pytest.raises(LabError, match="cannot be a lab: Debian packages are missing"):
        Lab("test-lacking").up()


def test_memory_limit_ends_what_exceeds_it() -> None:
    small = Lab(
        f"test-{os.getpid()}-memory",
        rooms={"llm": "172.16.168.24"},
        hardware=Hardware(memory=256 * 2**20),
    )
    try:
        small.up()
        vm = small.vm("llm")
        hog = ["python3", "-c", f"x = bytearray({600 * 2**20}); print(len(x))"]
        assert vm.run(hog, check=False).returncode != 0
        assert vm.run("echo well").stdout == "well\n"
    finally:
        small.down()


def test_labs_of_different_names_do_not_meet_and_down_leaves_nothing(lab: Lab) -> None:
    other = Lab(f"test-{os.getpid()}-other", rooms={"main": lab.rooms["main"]})
    assert traces(other) == []
    try:
        other.up()
        other.vm("main").run("touch here")
        assert lab.vm("main").run(["test", "-e", "here"], check=False).returncode == 1
        other.vm("main").slow(delay_ms=10)
        left = other.operator_popen(["sleep", "600"])
    finally:
        other.down()
    assert left.wait(5) == -signal.SIGKILL
    assert traces(other) == []
    other.down()
    assert lab.vm("main").run("echo well").stdout == "well\n"


def test_lab_outlives_the_command_that_booted_it_and_dies_with_its_run(lab: Lab) -> None:
    script = (
        "import os, signal; from tests.cluster.lab import Lab; "
        "Lab(f'test-{os.getpid()}', rooms={'npu': '172.16.168.22'}).up(); "
        "print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    orphan = Lab(f"test-{run.stdout.strip()}")
    assert orphan.is_up()
    assert orphan.vm("npu").run("echo well").stdout == "well\n"
    bury_the_dead(orphan.home.parent)
    assert traces(orphan) == []
    assert lab.is_up()


def test_command_line_and_library_handle_the_same_lab(lab: Lab, npu: VM) -> None:
    def command(*words: str) -> str:
        argv = [sys.executable, "-m", "tests.cluster.lab", "--name", lab.name, *words]
        return subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout

    command("partition", "npu")
    assert npu.cable() == "pulled"
    npu.power_off()
    rooms = json.loads(command("status", "--json"))["rooms"]
    assert rooms["npu"] == {"address": npu.address, "state": "off", "cable": "pulled"}
    assert rooms["redis"]["state"] == "running"
    command("power-on", "npu")
    assert command("shell", "npu", "--", "id -un") == "autobot\n"
