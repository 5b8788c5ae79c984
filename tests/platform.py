"""A whole platform of its own for tests: own home, own ports, the machine's shared cache."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from autobot.settings import Settings
from tests.processes import alive, command_of

UP_DEADLINE_S = 900


def wait_for(what: Callable[[], bool], deadline_s: float, why: str) -> float:
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < deadline_s, why
        time.sleep(0.1)
    return time.monotonic() - started


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on; all held at once while choosing, so that no two are the same."""
    with ExitStack() as stack:
        chosen: list[int] = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            chosen.append(listener.getsockname()[1])
        return chosen


def environment_of(home: Path, *, ranges_from: int = 21000, display: int = 40) -> dict[str, str]:
    """Environment that moves every port of a platform away from the defaults."""
    names = [name for name in Settings.model_fields if name.endswith("_port")]
    ranges = {
        "min_worker_port": ranges_from,
        "max_worker_port": ranges_from + 799,
        "replica_min_port": ranges_from + 800,
        "replica_max_port": ranges_from + 999,
    }
    single = [name for name in names if name not in ranges]
    ports = dict(zip(single, free_ports(len(single)), strict=True)) | ranges
    chosen = {f"AUTOBOT_{name.upper()}": str(port) for name, port in ports.items()}
    return chosen | {"AUTOBOT_HOME": str(home), "AUTOBOT_DESKTOP_DISPLAY": str(display)}


@dataclass
class Platform:
    """Driven through its command line, as a user does."""

    home: Path
    own_environment: dict[str, str]
    key: str = field(default_factory=lambda: f"ab_test_{secrets.token_urlsafe(32)}")

    @classmethod
    def make(cls, home: Path, **options: Any) -> "Platform":
        return cls(home, environment_of(home, **options))

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOBOT_", "RAY_"))}
        kept = {k: os.environ[k] for k in ("AUTOBOT_CACHE",) if k in os.environ}
        return {**inherited, **kept, **self.own_environment, "AUTOBOT_API_KEY": self.key}

    def port(self, name: str) -> int:
        return int(self.own_environment[f"AUTOBOT_{name.upper()}_PORT"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port('http')}"

    def run(
        self, *arguments: str, check: bool = True, timeout: float = UP_DEADLINE_S
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "autobot", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise AssertionError(f"autobot {' '.join(arguments)}: {done.stdout}\n{done.stderr}")
        return done

    def up(self, *options: str) -> dict[str, Any]:
        return json.loads(self.run("up", "--json", *options).stdout)

    def down(self) -> None:
        self.run("down", timeout=90)

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **options)

    def health(self) -> dict[str, Any]:
        with self.client() as client:
            return client.get("/api/health").raise_for_status().json()

    def wait_until_ok(self, deadline_s: float) -> None:
        """Until every room is ok; AssertionError with each room's reason when it is not in time."""
        deadline = time.monotonic() + deadline_s
        while True:
            try:
                health = self.health()
                if health["state"] == "ok":
                    return
                why = str({r["room"]: r["reason"] for r in health["rooms"].values() if r["reason"]})
            except httpx.HTTPError as error:
                why = str(error)
            assert time.monotonic() < deadline, f"not ok after {deadline_s:.0f} s: {why}"
            time.sleep(0.25)

    def processes(self) -> list[psutil.Process]:
        """Every process of this platform: its home is in its environment, or in an ancestor's.

        Redis writes its title over its own environment; what escaped from the supervisor would
        have lost its ancestors.
        """
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("AUTOBOT_HOME") == str(self.home)
                for one in [process, *process.children(recursive=True)] if ours else []:
                    found[one.pid] = one
            except psutil.Error:
                continue
        return [process for process in found.values() if alive(process)]

    def replicas(self) -> dict[str, set[int]]:
        """Room -> pids of its replicas, by the name Ray gives their processes."""
        pids: dict[str, set[int]] = {}
        for process in self.processes():
            title = " ".join(command_of(process))
            if title.startswith("ray::ServeReplica:"):
                pids.setdefault(title.split(":")[3], set()).add(process.pid)
        return pids
