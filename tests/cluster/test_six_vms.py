"""Six bare VMs become one cluster by one command, and only what may be open is open."""

import json
import os
import re
import signal
import subprocess

import pytest

from autobot.settings import Settings
from tests.cluster.lab.lab import ROOMS
from tests.cluster.sixvms import RAY, SixVms, wait_for

SCAN = """
import asyncio, sys
async def probe(host, port, gate):
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1.5)
        except (OSError, TimeoutError):
            return
        writer.close()
        print(host, port)
async def main():
    gate = asyncio.Semaphore(200)
    targets = [target.split(":") for target in sys.argv[1:]]
    await asyncio.gather(*(probe(host, int(port), gate) for host, port in targets))
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def settled(cluster: SixVms) -> None:
    """Each test begins with every room ok, whatever was broken before it."""
    cluster.wait_until_ok(120)


def listening(cluster: SixVms, room: str) -> set[int]:
    """Every TCP port of the VM that is open to more than its own loopback."""
    lines = cluster.lab.vm(room).shell("ss -ltnH").stdout.splitlines()
    found: set[int] = set()
    for line in lines:
        address, _, port = line.split()[3].rpartition(":")
        if not address.strip("[]").replace("::ffff:", "").startswith("127."):
            found.add(int(port))
    return found


def scan(cluster: SixVms, source: str, targets: list[tuple[str, int]]) -> set[tuple[str, int]]:
    """Which targets answer a connection from VM ``source``."""
    words = " ".join(f"{host}:{port}" for host, port in targets)
    done = cluster.lab.vm(source).run(f"python3 -c '{SCAN}' {words}", timeout=120)
    return {(host, int(port)) for host, port in (x.split() for x in done.stdout.splitlines())}


def test_one_command_brings_up_six_rooms(cluster: SixVms) -> None:
    health = cluster.health()
    assert health["state"] == "ok"
    where = {room["room"]: room["node"]["address"] for room in health["rooms"].values()}
    assert where == dict(ROOMS), "every room runs on its own VM"


def test_ray_status_shows_one_node_and_one_resource_a_room(cluster: SixVms) -> None:
    said = cluster.ray("exec", "cluster.yaml", "ray status").stdout
    for room in ROOMS:
        assert re.search(rf"^\s*1 {room}\b", said, re.MULTILINE), said
        assert re.search(rf"/1\.0 {room}\b", said), said


def test_ray_attach_opens_a_shell_on_the_head(cluster: SixVms) -> None:
    # `ray attach` wants a terminal; `script` is one.
    said = cluster.lab.operator(
        ["script", "-qec", f"{RAY} attach cluster.yaml", "/dev/null"],
        env=cluster.environment,
        cwd=cluster.checkout,
        stdin="hostname -I; exit\n",
        timeout=120,
    ).stdout
    assert ROOMS["main"] in said


def test_ray_dashboard_brings_the_heads_dashboard_to_the_operators_loopback(
    cluster: SixVms,
) -> None:
    secrets = cluster.home / ".autobot" / "clusters" / "autobot" / "secrets"
    token = (secrets / "ray_token").read_text().strip()
    assert dashboard(cluster, token) == "000", "nothing is there before"
    forwarding = cluster.lab.operator_popen(
        [str(RAY), "dashboard", "cluster.yaml"],
        env=cluster.environment,
        cwd=cluster.checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: dashboard(cluster, token) == "200", 60, lambda: dashboard(cluster, token))
        assert dashboard(cluster, "another") in ("401", "403")
    finally:
        os.killpg(forwarding.pid, signal.SIGINT)  # as a person's Ctrl-C
        forwarding.wait(20)


def dashboard(cluster: SixVms, token: str) -> str:
    """The status of what answers on the operator's port 8265, 000 when nothing does."""
    command = ["curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "-K", "-"]
    header = f'header = "Authorization: Bearer {token}"\n'
    url = "http://127.0.0.1:8265/api/version"
    return cluster.lab.operator([*command, url], stdin=header, check=False).stdout


def test_ray_rsync_up_brings_a_file_to_the_head(cluster: SixVms) -> None:
    file = cluster.home / "note.txt"
    file.write_text("from the operator")
    cluster.ray("rsync-up", "cluster.yaml", str(file), "/tmp/note.txt")
    assert cluster.lab.vm("main").shell("cat /tmp/note.txt").stdout == "from the operator"


def test_each_rooms_own_port_answers_on_its_own_vm(cluster: SixVms) -> None:
    for room, port in (("npu", 8081), ("llm", 8080), ("browser", 3000)):
        status, body = cluster.get(f"http://{ROOMS[room]}:{port}/health")
        assert (status, json.loads(body)) == (200, {"room": room, "state": "ok"})
    status, body = cluster.get(f"http://{ROOMS['frontend']}:5173/")
    assert status == 200
    assert "<title>" in body


def test_the_main_job_works_across_vms(cluster: SixVms) -> None:
    ask = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    assert cluster.post("/v1/chat/completions", ask, timeout=120)["choices"][0]["message"]
    vector = cluster.post("/v1/embeddings", {"model": "default", "input": "hello"})
    assert len(vector["data"][0]["embedding"]) == 384
    blocked = cluster.post("/api/browser/screenshot", {"url": f"http://{ROOMS['redis']}:6379/"})
    assert blocked["type"].endswith("blocked-address")


def test_from_the_browser_vm_only_the_ingress_and_rays_own_ports_answer(cluster: SixVms) -> None:
    settings = Settings()
    targets = [
        (address, port)
        for room, address in ROOMS.items()
        if room != "browser"
        for port in sorted(listening(cluster, room) | {22, 5173, 6080, 6379, 8080, 8081, 8265})
    ]
    ray = {
        settings.gcs_port,
        settings.node_manager_port,
        settings.object_manager_port,
        settings.runtime_env_agent_port,
        settings.dashboard_agent_port,
        settings.dashboard_agent_grpc_port,
        *range(settings.min_worker_port, settings.max_worker_port + 1),
    }
    found = scan(cluster, "browser", targets)
    surprising = {(host, port) for host, port in found if port not in ray}
    assert surprising <= {(ROOMS["main"], 8001)}, surprising
    assert (ROOMS["main"], 8001) in found
    assert (ROOMS["redis"], 6379) not in found


def test_only_the_frontend_vm_serves_the_web_interface(cluster: SixVms) -> None:
    for room, address in ROOMS.items():
        status, _ = cluster.get(f"http://{address}:5173/", timeout=2)
        assert status == (200 if room == "frontend" else 0), room


def test_the_browser_vm_holds_no_redis_password(cluster: SixVms) -> None:
    found = cluster.lab.vm("browser").shell("ls -R /home/autobot/.autobot/secrets").stdout
    assert "ray_token" in found
    assert "redis" not in found
    modes = "find /home/autobot/.autobot/secrets -type f ! -perm 600"
    assert cluster.lab.vm("redis").shell(modes).stdout == ""


def test_a_change_in_one_room_rolls_that_room_only(cluster: SixVms) -> None:
    before = {room: cluster.replicas(room) for room in ROOMS}
    (cluster.checkout / "deployments" / "browser" / "app.py").open("a").write("# changed\n")
    cluster.up()
    cluster.wait_until_ok(120)
    after = {room: cluster.replicas(room) for room in ROOMS}
    assert before["browser"].isdisjoint(after["browser"])
    assert {r for r in ROOMS if before[r] != after[r]} == {"browser"}
    synced = "tail -n 1 /home/autobot/autobot/deployments/browser/app.py"
    assert cluster.lab.vm("llm").shell(synced).stdout == "# changed\n"
