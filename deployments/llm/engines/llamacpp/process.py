"""The parent's side of `host`: start it, know whether it lives, end it."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from autobot.errors import Unavailable
from deployments.llm.engines.llamacpp.memory_plan import LoadPlan
from deployments.llm.engines.llamacpp.unix_http import UnixHttp
from deployments.llm.engines.llamacpp.watchdog import Watchdog, patience

PREFIX = "autobot-llm-"
SOCKET = "llama.sock"
HOST = Path(__file__).with_name("host.py")
LOAD_DEADLINE_S = 300.0
PROBE_DEADLINE_S = 0.5
SILENCE_S = 600.0
"""Longest wait for the engine's next byte: reading a full context on a slow core is minutes."""

SPINS = "1000"
"""How often a thread looks again at a barrier before it sleeps. libgomp's own 300,000 is fastest on
an idle machine and falls to a twentieth when another process wants a core; sleeping at once costs a
quarter always. Measured in docs/decisions/engines.md."""

HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Asks for huge pages for weights and contexts: a token reads all of them, and with small pages the
processor looks addresses up instead of computing. A load takes longer. Measured in
docs/decisions/engines.md."""


def remove_leftovers() -> None:
    """Remove the folders of engines that were killed: nobody listens on their sockets any more."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{SOCKET}"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_DEADLINE_S)  # one that listens but never accepts
            try:
                if path.parent.lstat().st_uid != os.geteuid():
                    continue  # anybody may make a folder of that name
                probe.connect(str(path))
            except ConnectionRefusedError:
                shutil.rmtree(path.parent, ignore_errors=True)
            except OSError:
                continue  # alive but silent, somebody else's, or just gone


class LlamaProcess:
    """One model loaded by llama.cpp in a process of its own."""

    def __init__(self, name: str, plan: LoadPlan, log: Path) -> None:
        """Load and return when the model can answer. Blocks for seconds: call it in a thread.

        Raises `Unavailable` with the engine's last words when it cannot load.
        """
        self.name = name
        self.plan = plan
        self.users = 0
        self.chats = 0
        """Begun so far: who finds it grown has not been alone."""
        remove_leftovers()
        self._folder = tempfile.mkdtemp(prefix=PREFIX)  # 0700: nobody else reaches the socket
        path = f"{self._folder}/{SOCKET}"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._child = _spawn(errors.fileno())
            heard_from = log.stat().st_size
        order = {"model": str(plan.path), "socket": path, "context": plan.context}
        ready = self._exchange(order | {"slots": plan.slots, "threads": plan.threads})
        if not ready:
            self._end()
            reason = _tail(log, heard_from) or f"it ended with code {self._child.returncode}"
            raise Unavailable(f"llama.cpp could not load '{name}': {reason}")
        devices: list[dict[str, str]] = json.loads(ready)["devices"]
        accelerators = [one["name"] for one in devices if one["name"] != "CPU"]
        self.device = "+".join(accelerators) or devices[0]["name"]
        self.client = UnixHttp(path, SILENCE_S)
        self.watchdog = Watchdog(self, self.slots, patience(plan.path.stat().st_size))

    @property
    def alive(self) -> bool:
        """Whether the process runs at this moment; whether it answers, only `watchdog` knows."""
        return self._child.poll() is None

    async def slots(self) -> list[dict[str, Any]]:
        """The engine's own account of its slots, from the loop that decodes."""
        return await self.client.json("GET", "/slots")

    def kill(self) -> None:
        """End it in the middle of whatever it does. Its chats end with `BrokenOff`."""
        self._child.kill()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def ended(self, within_s: float) -> bool:
        """Whether it ended; a dying process closes its socket a moment before it is gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._child.wait, within_s)
        return not self.alive

    async def stop(self) -> None:
        """End the process and give its memory back, whatever it is doing."""
        await self.watchdog.close()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()  # it ends by itself
        try:
            self._child.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)  # a killed one could not

    def _exchange(self, order: dict[str, str | int]) -> str:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        watchdog = threading.Timer(LOAD_DEADLINE_S, self._child.kill)
        watchdog.start()
        try:
            self._child.stdin.write(json.dumps(order) + "\n")
            self._child.stdin.flush()
            return self._child.stdout.readline()
        except BrokenPipeError:
            return ""
        finally:
            watchdog.cancel()


def _spawn(errors: int) -> subprocess.Popen[str]:
    # Ray sets OMP_NUM_THREADS=1 in its workers, which the engine's own threads must not inherit.
    kept = {key: value for key, value in os.environ.items() if "OMP_" not in key}
    kept |= {"GOMP_SPINCOUNT": SPINS, "GLIBC_TUNABLES": HUGE_PAGES}
    return subprocess.Popen(
        [sys.executable, "-P", str(HOST)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=kept,
        start_new_session=True,  # a Ctrl-C in the operator's terminal is for the platform's owner
    )


def _tail(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return " / ".join(line.strip() for line in lines[-3:])
