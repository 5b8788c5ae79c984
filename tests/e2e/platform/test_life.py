"""A platform's life: warm starts, rolling one room, healing, stopping, coming back."""

import contextlib
import os
import signal
import threading
from collections import Counter

import httpx
import psutil
import pytest

from tests.platform import Platform, wait_for


def healthy(platform: Platform) -> bool:
    try:
        return platform.health()["state"] == "ok"
    except httpx.HTTPError:
        return False


class Traffic:
    """Steady requests to some rooms' own ports while something is broken on purpose; bounded."""

    def __init__(self, platform: Platform, *rooms: str) -> None:
        self._urls = [f"http://127.0.0.1:{platform.port(room)}/health" for room in rooms]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _send(self) -> None:
        with httpx.Client(timeout=5) as client:
            for _ in range(6000):
                if self._stop.wait(0.05):
                    return
                for url in self._urls:
                    try:
                        self.answers[str(client.get(url).status_code)] += 1
                    except httpx.HTTPError as error:
                        self.answers[f"{type(error).__name__} {url}"] += 1


def test_second_up_is_warm_and_replaces_nothing(platform: Platform) -> None:
    before = platform.replicas()
    shown = platform.up()
    assert "api_key" not in shown, "the key is shown once"
    assert [item["what"] for item in shown["shown"]] == ["chat", "embedding", "screenshot", "ocr"]
    assert platform.replicas() == before


def test_restarting_one_room_leaves_every_other_replica_alone(platform: Platform) -> None:
    before = platform.replicas()
    with Traffic(platform, "browser", "llm", "npu") as traffic:
        platform.run("restart", "browser")
        wait_for(
            lambda: (
                platform.replicas().get("browser", set()).isdisjoint(before["browser"])
                and healthy(platform)
            ),
            120,
            "the browser room was not replaced",
        )
    after = platform.replicas()
    assert {k: v for k, v in after.items() if k != "browser"} == {
        k: v for k, v in before.items() if k != "browser"
    }
    assert set(traffic.answers) == {"200"}, traffic.answers


@pytest.mark.parametrize("room", ["npu", "browser", "llm", "main", "frontend", "redis"])
def test_a_killed_replica_comes_back_and_nobody_else_notices(platform: Platform, room: str) -> None:
    (victim, *_) = platform.replicas()[room]
    others = [name for name in ("npu", "llm", "browser") if name != room]
    with Traffic(platform, *others) as traffic:
        os.kill(victim, signal.SIGKILL)
        wait_for(
            lambda: victim not in platform.replicas().get(room, {victim}) and healthy(platform),
            120,
            f"{room} did not come back: {platform.run('status', check=False).stdout}",
        )
    assert set(traffic.answers) == {"200"}, traffic.answers


def named(platform: Platform, name: str) -> list[psutil.Process]:
    """The platform's processes of that name; one that ends meanwhile has none."""
    found: list[psutil.Process] = []
    for process in platform.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process] if process.name() == name else []
    return found


def supervised(platform: Platform, name: str) -> psutil.Process:
    return named(platform, name)[0]


def wait_for_another(platform: Platform, name: str, killed: psutil.Process) -> None:
    """Until a new process of that name runs in the killed one's place."""
    wait_for(
        lambda: any(p.pid != killed.pid for p in named(platform, name)),
        90,
        f"{name} did not come back",
    )


def test_killed_redis_comes_back_with_its_data_and_keys_work_meanwhile(platform: Platform) -> None:
    with platform.client() as client:
        made = client.post("/api/keys", json={"name": "durable", "scopes": ["read"]}).json()
        victim = supervised(platform, "redis-server")
        victim.kill()
        body = {"model": "default", "input": "still here"}
        assert client.post("/v1/embeddings", json=body).status_code == 200
        wait_for_another(platform, "redis-server", victim)
        wait_for(lambda: client.get("/api/keys").is_success, 30, "room redis did not come back")
        assert made["id"] in {key["id"] for key in client.get("/api/keys").json()}
        client.delete(f"/api/keys/{made['id']}")


def test_killed_desktop_comes_back(platform: Platform) -> None:
    victim = supervised(platform, "Xtigervnc")
    victim.kill()
    wait_for_another(platform, "Xtigervnc", victim)


def test_down_leaves_no_process_and_up_again_has_the_data(platform: Platform) -> None:
    with platform.client() as client:
        made = client.post("/api/keys", json={"name": "kept", "scopes": ["read"]}).json()
    platform.down()
    assert platform.processes() == []
    platform.up("--no-demo")
    with platform.client(made["key"]) as client:
        assert client.get("/api/cluster").status_code == 200


def test_killed_ray_node_comes_back_with_every_room(platform: Platform) -> None:
    victim = supervised(platform, "raylet")
    victim.kill()
    # What answers until then is the node that is about to end.
    wait_for_another(platform, "raylet", victim)
    platform.wait_until_ok(180)


def test_backup_and_restore_bring_a_deleted_key_back(platform: Platform, tmp_path) -> None:
    file = tmp_path / "backup.tar.gz"
    with platform.client() as client:
        made = client.post("/api/keys", json={"name": "saved", "scopes": ["read"]}).json()
        platform.run("backup", str(file))
        client.delete(f"/api/keys/{made['id']}")
    refused = platform.run("restore", str(file), check=False)
    assert refused.returncode == 1
    assert "autobot down" in refused.stderr
    platform.down()
    platform.run("restore", str(file), "--force")
    platform.up("--no-demo")
    with platform.client(made["key"]) as client:
        assert client.get("/api/cluster").status_code == 200
