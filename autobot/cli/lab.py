"""`autobot lab`: six Debian systems on this machine, to try the cluster on and to break."""

import os
import sys

import typer

from autobot.cli import verbatim
from autobot.errors import SetupError
from autobot.platform.topology import CHECKOUT


def register(app: typer.Typer) -> None:
    verbatim.register(app, lab)


def lab(context: typer.Context) -> None:
    """Six systemd VMs on this machine: try, up, down, status, shell, power-off, partition, ..."""
    if not (CHECKOUT / "tests" / "cluster" / "lab").is_dir():
        raise SetupError("The lab is part of a checkout's tests.", "Run this in a git checkout.")
    os.chdir(CHECKOUT)
    os.execv(
        sys.executable, [sys.executable, "-m", "tests.cluster.lab", *verbatim.arguments(context)]
    )
