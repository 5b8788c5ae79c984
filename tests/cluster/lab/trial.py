"""The whole platform on the lab's six VMs, to be used from this machine: `autobot lab try`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .host import LabError, kill, processes_in, start, wait_until
from .lab import Lab
from .network import OPERATOR

CHECKOUT = Path(__file__).resolve().parents[3]
RAY = Path(sys.executable).with_name("ray")
FORWARD = Path(__file__).with_name("forward.py")
DASHBOARD = 8265
# Room, its port, and what a person finds there. Redis is nobody's but the rooms'.
PORTS = (
    ("main", 8001, "api"),
    ("frontend", 5173, "web"),
    ("main", 6080, "desktop"),
    ("npu", 8081, "npu"),
    ("llm", 8080, "llm"),
    ("browser", 3000, "browser"),
)
SAID_S = 20.0


class Trial:
    """A lab that is brought up by `ray up` as an operator does, and reached on 127.0.0.1."""

    def __init__(self, lab: Lab, checkout: Path = CHECKOUT) -> None:
        self.lab = lab
        self.checkout = checkout
        # Below the lab's own home: `down` removes it with the rest.
        self.operator = lab.home / "operator"

    @property
    def secrets(self) -> Path:
        return self.operator / ".autobot" / "clusters" / "autobot" / "secrets"

    @property
    def environment(self) -> Mapping[str, str]:
        """The operator's: a home of his own, so that yours and his never mix."""
        return {
            "HOME": str(self.operator),
            "AUTOBOT_HOME": str(self.operator / ".autobot"),
            "PYTHONPATH": str(self.checkout),
            "PATH": f"{RAY.parent}:{os.environ['PATH']}",
        }

    def begin(self) -> None:
        """Boot, bring up, forward. Run again, it does what is left to do."""
        if not (self.lab.cache / "uv").is_dir():
            raise LabError(
                f"{self.lab.cache} lacks what the VMs install, and they have no internet: "
                "run `make lab-setup`"
            )
        self.lab.up()
        self._equip()
        argv = [*self.lab.network.inside(OPERATOR), str(RAY), "up", "-y", "cluster.yaml"]
        environment = {**os.environ, **self.environment}
        if subprocess.call(argv, cwd=self.checkout, env=environment):
            raise LabError("`ray up` failed; its words are above")
        self.forward()

    def _equip(self) -> None:
        """What an operator has before `ray up`: a home folder with the key that opens the VMs."""
        folder = self.operator / ".ssh"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(self.lab.key, folder / "autobot_key")

    def forward(self) -> None:
        """Bring the rooms' ports and the dashboard to this machine's loopback."""
        kill([p for p in processes_in(self.lab.network.path(OPERATOR)) if _forwards(p.cmdline())])
        self._tunnel_to_dashboard()
        ways = [f"{port}:{self.lab.rooms[room]}:{port}" for room, port, _ in PORTS]
        ways.append(f"{DASHBOARD}:127.0.0.1:{DASHBOARD}")
        reading, writing = os.pipe()
        with os.fdopen(reading) as said:
            namespace = str(self.lab.network.path(OPERATOR))
            start([sys.executable, str(FORWARD), namespace, *ways], stdout=writing, stderr=writing)
            os.close(writing)
            first = said.readline()
        if first != "forwarding\n":
            raise LabError(
                f"the ports cannot be forwarded: {first.strip()} (is a platform up on this "
                "machine? `make down` frees its ports)"
            )

    def _tunnel_to_dashboard(self) -> None:
        """Ray's dashboard listens on the loopback of main; SSH brings it to the operator's."""
        vm = self.lab.vm("main")
        options = ["-o", "ExitOnForwardFailure=yes", "-N"]
        way = ["-L", f"127.0.0.1:{DASHBOARD}:127.0.0.1:{DASHBOARD}"]
        ssh, destination = vm.ssh()[:-1], vm.ssh()[-1]
        argv = [*self.lab.network.inside(OPERATOR), *ssh, *options, *way, destination]
        start(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ask = ["curl", "-s", "-o", "/dev/null", "-m", "2", f"http://127.0.0.1:{DASHBOARD}/"]
        wait_until(
            "the dashboard", SAID_S, lambda: not self.lab.operator(ask, check=False).returncode
        )

    def told(self) -> str:
        """Where everything is, as `autobot up` says it."""
        paths = {"api": "docs", "desktop": "vnc.html"}
        rows = [(what, f"http://127.0.0.1:{port}/{paths.get(what, '')}") for _, port, what in PORTS]
        rows += [
            ("dashboard", f"http://127.0.0.1:{DASHBOARD}/"),
            ("password", f"{self.secrets / 'desktop_password'} (desktop)"),
            ("token", f"{self.secrets / 'ray_token'} (dashboard)"),
            ("API key", f"{self.secrets / 'cli_key'} (another one than the owner's, shown above)"),
        ]
        return "\n".join(f"  {name:<10} {what}" for name, what in rows)


def _forwards(command: list[str]) -> bool:
    return str(FORWARD) in command or f"127.0.0.1:{DASHBOARD}:127.0.0.1:{DASHBOARD}" in command
