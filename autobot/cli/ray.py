"""`autobot ray`: Ray's own commands against this platform."""

import sys

import typer

from autobot.cli import verbatim
from autobot.cluster.reach import run_from_operator, run_here
from autobot.errors import SetupError
from autobot.local.supervisor import Supervisor
from autobot.platform.topology import topology_here
from autobot.settings import Settings


def register(app: typer.Typer) -> None:
    verbatim.register(app, ray)


def ray(context: typer.Context) -> None:
    """Run any Ray command against this platform: `autobot ray job submit -- python my.py`."""
    settings = Settings()
    arguments = verbatim.arguments(context)
    if Supervisor(settings).process() is not None:
        sys.exit(run_here(settings, arguments))
    try:
        cluster = topology_here()
    except SetupError:
        cluster = None
    if cluster is not None:
        sys.exit(run_here(settings, arguments, cluster.head))
    sys.exit(run_from_operator(settings, arguments))
