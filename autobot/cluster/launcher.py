"""`ray` as a checkout's `.venv` has it: Ray's own command line, with two things done before it.

Ray's cluster launcher keeps a completed configuration among the temporary files, under a name that
follows from `cluster.yaml`, and reads it back before it asks anybody. In a shared `/tmp` whoever
puts a file there first decides what `ray up` runs on the operator's machine and on every VM. So the
launcher's temporary files lie in a folder of the operator.

And an odd `cluster.yaml` is explained before Ray stumbles over it.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from autobot.cluster.bootstrap import fill
from autobot.errors import SetupError
from autobot.files import is_shared, private_folder, short_folder
from autobot.platform.topology import load_topology

PROVIDER = "autobot.cluster.provider.AutoBotNodeProvider"
COMMANDS = frozenset(
    name
    for dashed in (
        *("up", "create-or-update", "down", "teardown", "attach", "exec", "submit"),
        *("rsync-up", "rsync-down", "get-head-ip", "get-worker-ips", "monitor", "dashboard"),
        *("kill-random-node", "cluster-dump"),
    )
    for name in (dashed, dashed.replace("-", "_"))
)
"""Those of Ray's commands that take a cluster's configuration."""
OPTIONS = ("--logging-level", "--logging-format")
"""Those of `ray` itself that take a value; they stand before the command."""
LOOKED_UP = (
    *("cluster_name", "head_node_type", "available_node_types", "max_workers"),
    *("setup_commands", "head_setup_commands", "worker_setup_commands"),
)
"""What Ray's launcher looks up before it asks the provider."""
HEAD = "main"


def main() -> None:
    """The entry point of `.venv/bin/ray`."""
    arguments = sys.argv[1:]
    if command_of(arguments) in COMMANDS:
        explain_and_exit_on_failure(arguments)
    from ray.scripts.scripts import main as ray  # seconds of imports, which a refusal can spare

    sys.exit(ray())


def command_of(arguments: Sequence[str]) -> str | None:
    """The first word that is neither one of Ray's own options nor the value of one."""
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            return word
        if word in OPTIONS:
            next(words, None)
    return None


def explain_and_exit_on_failure(arguments: Sequence[str]) -> None:
    """Keep temporary files where nobody else may write, and `check` every YAML file that is named.

    What is wrong is printed and ends the process with exit code 1, before Ray is imported.
    """
    try:
        tempfile.tempdir = str(private_folder(private_folder(short_folder()) / "tmp"))
        for file in (Path(word) for word in arguments if word.endswith((".yaml", ".yml"))):
            if file.is_file():
                check(file)
    except SetupError as error:
        sys.exit(str(error))


def check(file: Path) -> None:
    """SetupError says what is wrong with a configuration of ours; others' are left to Ray."""
    if not is_ours(file):
        return
    topology = load_topology(file)
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    remedy = f"The project's own cluster.yaml shows how it must be in {file}."
    if absent := [name for name in LOOKED_UP if name not in config]:
        raise SetupError(f"{file} lacks {', '.join(absent)}.", remedy)
    if (module := config["provider"].get("module")) != PROVIDER:
        raise SetupError(f"provider.module is {module}, not {PROVIDER}.", remedy)
    if config["head_node_type"] != HEAD or HEAD not in _mapping(config["available_node_types"]):
        raise SetupError(f"head_node_type must be {HEAD}, and of available_node_types.", remedy)
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import validate_config

    try:
        validate_config(fill(config, topology))
    except ValidationError as error:
        place = ".".join(str(step) for step in error.absolute_path)
        raise SetupError(f"{place}: {error.message}" if place else error.message, remedy) from error


def is_ours(file: Path) -> bool:
    """Whether it names our provider; so does one that cannot be read, and is then explained."""
    try:
        config = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return True
    provider = _mapping(_mapping(config).get("provider"))
    return str(provider.get("module", PROVIDER)).startswith("autobot.") and (
        provider.get("type", "external") == "external"
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def refuse_shared_temporary_folder() -> None:
    """SetupError when Ray's launcher keeps its configurations where others can write."""
    folder = Path(tempfile.gettempdir())
    if is_shared(folder) or folder.stat().st_uid not in (0, os.geteuid()):
        raise SetupError(
            f"Others can write to {folder}, where Ray's launcher keeps its configurations.",
            "Use the `ray` of this checkout's .venv (`make setup` makes it), or set TMPDIR to a "
            "folder of your own.",
        )
