"""`ray up` on the operator's machine: nobody else's configuration, and no odd one of his own."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config
from ray.scripts.scripts import cli

from autobot import files as private
from autobot.cluster.launcher import (
    COMMANDS,
    OPTIONS,
    check,
    explain_and_exit_on_failure,
    refuse_shared_temporary_folder,
)
from autobot.errors import SetupError
from autobot.platform.topology import CHECKOUT
from tests.unit.cluster.configs import REAL, config

RAYS_OWN = "ray.scripts.scripts"
OURS = "autobot.cluster.launcher"
RUN = "import sys; sys.argv = ['ray', *sys.argv[2:]]; from {module} import main; main()"


def ray(
    module: str, home: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the entry point of ``module`` as its installed script does."""
    return subprocess.run(
        [sys.executable, "-c", RUN.format(module=module), "-", *arguments],
        env={**os.environ, "HOME": str(home), "AUTOBOT_HOME": str(home / "state"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=CHECKOUT,
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    """Stands for `/tmp`: anybody may put files there."""
    with tempfile.TemporaryDirectory(prefix="ab-shared-") as made:
        Path(made).chmod(0o1777)
        yield Path(made)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The project's `cluster.yaml`, of which everybody knows what it says."""
    made = tmp_path / "cluster.yaml"
    made.write_text(yaml.safe_dump(REAL))
    return made


def plant(shared: Path) -> Path:
    """What another user leaves where Ray's launcher would look for its own; as that user."""
    prepared = prepare_config(config())
    name = hashlib.sha256(json.dumps([prepared], sort_keys=True).encode()).hexdigest()
    planted = {"_version": 1, "config": {**prepared, "head_setup_commands": ["steal"]}}
    target = shared / f"ray-config-{name}"
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "tee", str(target)]
    subprocess.run(
        argv if os.geteuid() == 0 else argv[-2:],
        input=json.dumps(planted),
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return target


def test_a_configuration_that_somebody_else_left_in_tmp_is_not_read(
    tmp_path: Path, shared: Path, file: Path
) -> None:
    plant(shared)
    with_rays_own = ray(RAYS_OWN, tmp_path, "up", "-y", str(file), TMPDIR=str(shared))
    assert "Loaded cached provider configuration" in with_rays_own.stdout + with_rays_own.stderr
    done = ray(OURS, tmp_path, "up", "-y", str(file), TMPDIR=str(shared))
    assert "Loaded cached" not in done.stdout + done.stderr
    assert "autobot_key is missing" in done.stderr, "it came as far as the operator's own key"
    assert not [left for left in shared.iterdir() if left.name.startswith("ray-up")]


@pytest.mark.parametrize(
    "options", [("--logging-level", "info"), ("--logging-level=info",)], ids=["apart", "as one"]
)
def test_nor_is_it_when_options_of_rays_stand_before_the_command(
    tmp_path: Path, shared: Path, file: Path, options: tuple[str, ...]
) -> None:
    plant(shared)
    done = ray(OURS, tmp_path, *options, "up", "-y", str(file), TMPDIR=str(shared))
    assert "Loaded cached" not in done.stdout + done.stderr
    assert "autobot_key is missing" in done.stderr, "it came as far as the operator's own key"


def test_every_command_of_rays_that_reads_a_configuration_is_known() -> None:
    reading = {
        name
        for name, command in cli.commands.items()
        if any(parameter.name == "cluster_config_file" for parameter in command.params)
    }
    assert reading
    assert reading <= COMMANDS
    valued = {
        name for option in cli.params for name in option.opts if not getattr(option, "is_flag", 0)
    }
    assert valued == set(OPTIONS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder somebody else's")
def test_somebody_elses_folder_is_refused_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(0o755)
    os.chown(folder, 65534, 65534)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(SetupError, match="Others can write"):
        refuse_shared_temporary_folder()


def test_rays_own_command_is_refused_where_others_can_write(
    tmp_path: Path, shared: Path, file: Path
) -> None:
    key = tmp_path / ".ssh" / "autobot_key"
    key.parent.mkdir()
    key.touch(0o600)
    done = ray(RAYS_OWN, tmp_path, "up", "-y", str(file), TMPDIR=str(shared))
    assert done.returncode == 1
    assert f"Others can write to {shared}" in done.stderr
    assert "checkout's .venv" in done.stderr.strip().splitlines()[-1]


def test_the_environment_has_our_ray() -> None:
    script = Path(sys.executable).with_name("ray")
    assert OURS in script.read_text(), "run `make setup`"


def odd(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**REAL, **changes}.items() if value is not None}


def rooms(**changes: Any) -> dict[str, Any]:
    return config(**changes)


ODD: dict[str, tuple[dict[str, Any] | str, str]] = {
    "an unknown room": (rooms(npuu={"addresses": ["172.16.168.29"]}), "Unknown room 'npuu'."),
    "one address twice": (
        rooms(npu={"addresses": ["172.16.168.24"]}),
        "172.16.168.24 is declared twice",
    ),
    "a name for an address": (
        rooms(npu={"addresses": ["npu.local"]}),
        "'npu.local' is not an IPv4 address",
    ),
    "no YAML": ("rooms: [", "is not valid YAML"),
    "an empty file": ("", "is not a cluster configuration"),
    "a list": ("- main", "is not a cluster configuration"),
    "no provider": (odd(provider=None), "declares no rooms"),
    "another module": (
        odd(provider={**REAL["provider"], "module": "autobot.cluster.providr.It"}),
        "provider.module is autobot.cluster.providr.It",
    ),
    "nothing to look up": (odd(max_workers=None), "lacks max_workers"),
    "another head": (odd(head_node_type="npu"), "head_node_type must be main"),
    "node types that are none": (odd(available_node_types=3), "head_node_type must be main"),
    "a command for a list": (odd(setup_commands="echo"), "'echo' is not of type 'array'"),
    "a misspelt key": (odd(max_worker=3), "'max_worker' was unexpected"),
    "auth that is none": (odd(auth=7), "is not understood"),
}


@pytest.mark.parametrize("name", list(ODD))
def test_an_odd_configuration_is_explained(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "SHORT", tmp_path / ".ab")
    monkeypatch.setattr(tempfile, "tempdir", None)
    content, cause = ODD[name]
    file = tmp_path / "cluster.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(SystemExit) as refused:
        explain_and_exit_on_failure(["up", "-y", str(file)])
    lines = str(refused.value).splitlines()
    assert cause in " ".join(lines[:-1])
    assert lines[-1].startswith("  "), "the remedy is the last line"
    assert len(lines) < 12


def test_nothing_follows_the_explanation(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(ODD["an unknown room"][0]))
    done = ray(OURS, tmp_path, "up", "-y", str(file))
    assert done.returncode == 1
    assert (done.stdout + done.stderr).splitlines() == [
        "Unknown room 'npuu'.",
        "  The rooms are main, frontend, npu, redis, llm, browser.",
    ]


def test_rays_own_command_says_cause_and_remedy_last_too(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(ODD["an unknown room"][0]))
    done = ray(RAYS_OWN, tmp_path, "up", "-y", str(file), TMPDIR=str(tmp_path))
    assert done.stderr.strip().splitlines()[-2:] == [
        "Unknown room 'npuu'.",
        "  The rooms are main, frontend, npu, redis, llm, browser.",
    ]
    assert "Traceback" not in done.stderr


def test_a_configuration_of_another_provider_is_left_to_ray(tmp_path: Path) -> None:
    file = tmp_path / "aws.yaml"
    file.write_text("cluster_name: x\nprovider: {type: aws, region: us-west-2}\n")
    check(file)
