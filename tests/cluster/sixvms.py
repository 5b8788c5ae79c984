"""The platform on the lab's six VMs, as its operator sees it: `ray up`, HTTP, and nothing else."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autobot.platform.topology import CHECKOUT
from tests.cluster.lab import Lab
from tests.cluster.lab.lab import ROOMS

RAY = Path(sys.executable).with_name("ray")
TRAFFIC_S = 900.0
SERVING = {
    "frontend": "http://172.16.168.21:5173/",
    "npu": "http://172.16.168.22:8081/health",
    "llm": "http://172.16.168.24:8080/v1/models",
    "browser": "http://172.16.168.25:3000/health",
}
"""One URL a room, on the room's own port: none of them needs another VM."""


def wait_for(what: Callable[[], bool], deadline_s: float, why: Callable[[], str]) -> float:
    """Seconds until ``what`` holds; AssertionError with ``why`` when it does not in time."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < deadline_s, f"{deadline_s:.0f} s passed: {why()}"
        time.sleep(0.5)
    return time.monotonic() - started


@dataclass
class SixVms:
    """``home`` is the operator's home folder: his key, his copy of the checkout, his secrets."""

    lab: Lab
    home: Path
    key: str = field(default_factory=lambda: f"ab_lab_{secrets.token_urlsafe(32)}")
    first_up_s: float = 0.0

    @property
    def checkout(self) -> Path:
        return self.home / "autobot"

    def prepare(self) -> None:
        """What an operator has before `ray up`: a checkout with the page built, and an SSH key."""
        skipped = shutil.ignore_patterns(".git", ".venv", "node_modules", "__pycache__")
        shutil.copytree(CHECKOUT, self.checkout, ignore=skipped)
        (self.home / ".ssh").mkdir(mode=0o700)
        shutil.copy(self.lab.key, self.home / ".ssh" / "autobot_key")
        (self.home / "tmp").mkdir()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONPATH": str(self.checkout),
            "AUTOBOT_HOME": str(self.home / ".autobot"),
            "AUTOBOT_API_KEY": self.key,
            "PATH": f"{RAY.parent}:{os.environ['PATH']}",
        }

    def ray(self, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        return self.lab.operator(
            [str(RAY), *arguments], timeout=timeout, env=self.environment, cwd=self.checkout
        )

    def up(self) -> float:
        """`ray up`; returns its seconds."""
        started = time.monotonic()
        self.ray("up", "-y", "cluster.yaml")
        return time.monotonic() - started

    def get(self, url: str, timeout: float = 5.0, key: str | None = None) -> tuple[int, str]:
        """Status and body; status 0 when nothing answers."""
        command = ["curl", "-s", "-m", str(timeout), "-w", "\n%{http_code}"]
        command += ["-H", f"Authorization: Bearer {key or self.key}", url]
        done = self.lab.operator(command, timeout=timeout + 10, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def post(self, path: str, body: dict[str, Any], timeout: float = 30.0) -> dict[str, Any]:
        return json.loads(self.text(path, body, timeout))

    def text(self, path: str, body: dict[str, Any], timeout: float = 30.0) -> str:
        """What `POST` to the ingress answers, as it is."""
        command = self._posting(f"http://{ROOMS['main']}:8001{path}", body, timeout)
        return self.lab.operator(command, timeout=timeout + 10).stdout

    def posted(self, path: str, body: dict[str, Any], timeout: float = 30.0) -> tuple[int, str]:
        """Status and body of a `POST` to the ingress; status 0 when nothing answers."""
        command = self._posting(f"http://{ROOMS['main']}:8001{path}", body, timeout)
        command += ["-w", "\n%{http_code}"]
        done = self.lab.operator(command, timeout=timeout + 10, check=False)
        text, _, status = done.stdout.rpartition("\n")
        return int(status or 0), text

    def begin(self, url: str, body: dict[str, Any], timeout: float = 90.0) -> subprocess.Popen[str]:
        """A `POST` whose answer is still to come."""
        command = self._posting(url, body, timeout)
        return self.lab.operator_popen(command, stdout=subprocess.PIPE)

    def _posting(self, url: str, body: dict[str, Any], timeout: float) -> list[str]:
        command = ["curl", "-s", "-m", str(timeout), "-H", f"Authorization: Bearer {self.key}"]
        return [*command, "-H", "content-type: application/json", "-d", json.dumps(body), url]

    def health(self) -> dict[str, Any]:
        """The whole of `GET /api/health`, or a state `unreachable` with no rooms."""
        status, body = self.get(f"http://{ROOMS['main']}:8001/api/health")
        return json.loads(body) if status == 200 else {"state": "unreachable", "rooms": {}}

    def state(self, room: str) -> str:
        return self.health()["rooms"].get(room, {}).get("state", "unknown")

    def wait_until_ok(self, deadline_s: float) -> float:
        return wait_for(lambda: self.health()["state"] == "ok", deadline_s, self.why)

    def why(self) -> str:
        rooms = self.health()["rooms"].values()
        return "; ".join(f"{r['room']}: {r['reason']}" for r in rooms if r["state"] != "ok")

    def replicas(self, room: str) -> set[str]:
        """Pids of the room's replicas on its VM."""
        found = self.lab.vm(room).shell("pgrep -f ^ray::ServeReplica", check=False)
        return set(found.stdout.split())

    @contextmanager
    def traffic(self, *urls: str) -> Iterator[dict[str, list[Any]]]:
        """Requests to ``urls`` for as long as the block lasts; then what each answered."""
        found: dict[str, list[Any]] = {}
        command = [sys.executable, "-m", "tests.cluster.traffic", str(TRAFFIC_S), *urls]
        process = self.lab.operator_popen(
            command,
            env=self.environment,
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
        )
        try:
            yield found
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=60)
        found.update(json.loads(output))
