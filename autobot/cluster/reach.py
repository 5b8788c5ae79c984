"""Running Ray's commands against a platform: its address, its token, and a way to its dashboard."""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from autobot.cluster.launcher import COMMANDS
from autobot.cluster.paths import cluster_dir
from autobot.cluster.teardown import ssh_command
from autobot.errors import SetupError
from autobot.platform.ray_env import loopback_env
from autobot.platform.topology import load_topology
from autobot.settings import Settings

RAY = Path(sys.executable).with_name("ray")
# These speak HTTP with the dashboard; `job submit` also sends a folder of the caller's machine.
OVER_HTTP = ("job", "list", "get", "summary", "logs", "serve")
TUNNEL_DEADLINE_S = 30.0


def ray_client_env(secrets: Path, dashboard: str, gcs: str | None = None) -> dict[str, str]:
    """The variables by which Ray's commands find a platform and are let in."""
    found = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(secrets / "ray_token"),
        "RAY_API_SERVER_ADDRESS": dashboard,
        "RAY_DASHBOARD_ADDRESS": dashboard,
    }
    return found | ({"RAY_ADDRESS": gcs} if gcs else {})


def run_here(settings: Settings, arguments: Sequence[str], head: str | None = None) -> int:
    """Run a Ray command on a machine of the platform; ``head`` is its head's address."""
    address = head or settings.node_ip
    env = ray_client_env(
        settings.secrets_dir,
        f"http://127.0.0.1:{settings.dashboard_port}",
        f"{address}:{settings.gcs_port}",
    )
    return _call([str(RAY), *arguments], {**env, **loopback_env(address)})


def run_from_operator(settings: Settings, arguments: Sequence[str]) -> int:
    """Run it from the machine where `ray up` was run: here, through a tunnel, or on the head."""
    topology = load_topology()
    here = cluster_dir(topology.name)
    if not (here / "secrets" / "ray_token").exists():
        raise SetupError(
            "No platform runs on this machine, and no cluster was brought up from it.",
            "`autobot up` starts one here, `ray up cluster.yaml` one on six VMs.",
        )
    command = arguments[0] if arguments else "--help"
    ssh = ssh_command(topology, here / "known_hosts")
    if command in COMMANDS or command.startswith("-"):
        return _call([str(RAY), *arguments], {})
    if command in OVER_HTTP:
        with tunnel(ssh, topology.head, settings.dashboard_port) as dashboard:
            env = ray_client_env(here / "secrets", dashboard)
            return _call([str(RAY), *arguments], env)
    terminal = ["-t"] if sys.stdin.isatty() else []
    return _call([*ssh, *terminal, topology.head, shlex.join(["ray", *arguments])], {})


@contextmanager
def tunnel(ssh: Sequence[str], host: str, port: int) -> Iterator[str]:
    """The URL under which ``port`` of ``host``'s loopback answers here, while the block lasts."""
    own = _free_port()
    # A connection of its own: `_wait_for` asks whether it is this very process that listens.
    options = ("-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none", "-N")
    options = (*options, "-L", f"127.0.0.1:{own}:127.0.0.1:{port}")
    process = subprocess.Popen(
        [*ssh, *options, host], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for(process, own, host)
        yield f"http://127.0.0.1:{own}"
    finally:
        process.terminate()
        process.communicate()


def _wait_for(process: subprocess.Popen[str], port: int, host: str) -> None:
    """Return once ``process`` listens on ``port``. Nobody else will do: another local user who took
    the port first would be sent Ray's token.
    """
    deadline = time.monotonic() + TUNNEL_DEADLINE_S
    while True:
        if process.poll() is not None:
            said = process.stderr.read().strip() if process.stderr else ""
            raise SetupError(f"SSH does not reach {host}: {said}", "Check the key and the VM.")
        if _listens(process.pid, port):
            return
        if time.monotonic() > deadline:
            raise SetupError(f"SSH did not reach {host} in {TUNNEL_DEADLINE_S:.0f} s.")
        time.sleep(0.1)


def _listens(pid: int, port: int) -> bool:
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _call(command: Sequence[str], env: Mapping[str, str]) -> int:
    return subprocess.call(command, env={**os.environ, **env})
