"""Where the operator's machine and the head keep what they know of a cluster, and the VMs' copies.

    ~/.autobot/clusters/<name>/     the operator's machine   the head
      state.json                    its head                 its workers
      secrets/                      all secrets              -
      rooms/<room>/                 what a VM may hold       the same
      code/                         the checkout as synced   -
      cluster.yaml                  the topology             -
      known_hosts                   the VMs' host keys       the same, its own

On every VM: ``~/autobot/`` (code), ``~/.autobot/secrets/``, ``~/.autobot/cluster.yaml``.
"""

import shutil
import subprocess
from pathlib import Path

from autobot.errors import SetupError
from autobot.platform.topology import CHECKOUT
from autobot.settings import default_home

VM_CODE = "~/autobot/"
VM_SECRETS = "~/.autobot/secrets/"
VM_TOPOLOGY = "~/.autobot/cluster.yaml"
# What runs on a VM; the rest of a checkout (tests, sources of the page, a venv) stays at home.
SYNCED = ("autobot", "deployments", "locks", "pyproject.toml", "README.md", "LICENSE")
NOT_SYNCED = ("__pycache__", "node_modules", ".venv", ".*_cache", "*.egg-info", "web/src")


def cluster_dir(name: str) -> Path:
    """Return the folder of cluster ``name`` on this machine; it may not exist yet."""
    return default_home() / "clusters" / name


def vm_rooms(name: str) -> str:
    """Where the head keeps the workers' secrets, as the launcher writes a remote path."""
    return f"~/.autobot/clusters/{name}/rooms/"


def stage_code(target: Path, checkout: Path = CHECKOUT) -> None:
    """Make ``target`` what the VMs shall run. SetupError when rsync is missing or fails.

    The launcher hashes every file it syncs, at each command: a copy without a checkout's ballast
    makes that quick, and what is synced does not change under its hands.
    """
    if shutil.which("rsync") is None:
        raise SetupError("rsync is not installed.", "apt-get install rsync")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    sources = [str(checkout / name) for name in SYNCED if (checkout / name).exists()]
    excludes = [f"--exclude={pattern}" for pattern in NOT_SYNCED]
    for gone in {entry.name for entry in target.iterdir()} - set(SYNCED):
        shutil.rmtree(target / gone, ignore_errors=True)
    done = subprocess.run(
        ["rsync", "-a", "--delete", "--delete-excluded", *excludes, *sources, f"{target}/"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SetupError(f"The code cannot be staged: {done.stderr.strip()}", f"See {target}.")
