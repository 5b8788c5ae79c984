"""Letting VMs go: `ray down` stops and disables what was started on them; their data stays."""

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from autobot.platform.topology import Topology

COMMAND = "/opt/autobot/venv/bin/python -m autobot.cluster.node stop"
DEADLINE_S = 60


def ssh_command(topology: Topology, known_hosts: Path) -> list[str]:
    """The ssh command, without prompts and without its destination."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "5",
        "IdentitiesOnly": "yes",
        "LogLevel": "ERROR",
        "ServerAliveInterval": "5",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(known_hosts),
    }
    flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
    return ["ssh", "-i", str(topology.ssh_key), "-l", topology.ssh_user, *flags]


def release(addresses: Sequence[str], topology: Topology, known_hosts: Path) -> list[str]:
    """Stop our units on each VM; return the addresses where that failed (most likely: VM off)."""

    def stop(address: str) -> bool:
        command = [*ssh_command(topology, known_hosts), address, COMMAND]
        try:
            done = subprocess.run(command, capture_output=True, timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    with ThreadPoolExecutor(max_workers=max(1, len(addresses))) as pool:
        results = list(pool.map(stop, addresses))
    return [address for address, done in zip(addresses, results, strict=True) if not done]
