"""Settings reach a replica as they were given, on one machine and on a VM; secrets stay secret."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from supervisor.options import ServerOptions

from autobot.cluster import systemd
from autobot.local.supervisor import clean_environment, config
from autobot.platform.programs import Program, prepare_programs, ray_node
from autobot.platform.ray_env import ray_env
from autobot.settings import Settings

ODD = "a \"b\" 'c' $HOME %s %(x)s ;d #e \\ é"
LISTS = {"assistant": ["llama.cpp/qwen", "external/gpt-4o-mini"], ODD: [ODD]}
KEY = f"sk-{ODD}-0123456789"
NUMBERS: dict[str, Any] = {"probe_deadline_s": 2.5, "llm_keep_alive_s": -1.0}
"""Where a number must be in bounds that others do not share."""


def value_for(name: str, field: FieldInfo, home: Path) -> Any:
    """A value of this setting that is not its default."""
    if name == "home":
        return home
    if name in NUMBERS:
        return NUMBERS[name]
    kind = str(field.annotation)
    if "SecretStr" in kind:
        return SecretStr(KEY)
    if "dict" in kind:
        return LISTS
    if "Path" in kind:
        return home / "a folder"
    if "bool" in kind:
        return not field.default
    if "int" in kind:
        return (field.default or 512) + 1 if name != "browser_concurrency" else 7
    assert "str" in kind, f"{name}: say how a {kind} is tested"
    return ODD


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Every setting, none at its default."""
    for name in [name for name in os.environ if name.startswith("AUTOBOT_")]:
        monkeypatch.delenv(name)
    fields = Settings.model_fields
    assert len(fields) > 40
    values = {name: value_for(name, field, tmp_path) for name, field in fields.items()}
    return Settings(**values | {"browser_sessions": 65})


def program(settings: Settings) -> Program:
    """The Ray node, with its files written."""
    node = ray_node(settings, head=True, resources={}, node_ip="127.0.0.2")
    prepare_programs([node])
    return node


def as_supervisord_has_it(settings: Settings, conf: Path) -> dict[str, str]:
    conf.parent.mkdir(parents=True, exist_ok=True)
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    conf.write_text(config(settings, [program(settings)]))
    options: Any = ServerOptions()
    options.realize(["-c", str(conf)])
    (group,) = options.process_group_configs
    return group.process_configs[0].environment


def as_systemd_and_a_shell_have_it(settings: Settings, file: Path) -> dict[str, str]:
    """The wrapper's own way; systemd's differs in nothing that `PLAIN` allows."""
    program(settings)
    file.write_text(systemd.render_env(ray_env(settings)))
    script = f"set -a; . {file}; env -0"
    said = subprocess.run(["env", "-i", "/bin/sh", "-c", script], capture_output=True, text=True)
    return dict(line.split("=", 1) for line in said.stdout.split("\0") if line)


def in_a_replica(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings as a process with this environment reads them."""
    tell = (
        "import json; from pydantic import SecretStr; from autobot.settings import Settings;"
        "print(json.dumps({n: v.get_secret_value() if isinstance(v, SecretStr) else v"
        " for n, v in Settings().model_dump().items()}, default=str))"
    )
    done = subprocess.run(
        [sys.executable, "-c", tell], env=dict(environment), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=["one machine", "a VM"])
def environment(request: pytest.FixtureRequest, given: Settings) -> Iterator[dict[str, str]]:
    if request.param == "a VM":
        yield as_systemd_and_a_shell_have_it(given, given.home / "node.env")
    else:
        yield as_supervisord_has_it(given, given.home / "run" / "supervisord.conf")


def test_every_setting_makes_the_round_trip(given: Settings, environment: dict[str, str]) -> None:
    found = in_a_replica(environment)
    for name in Settings.model_fields:
        value = getattr(given, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        expected = None if name == "api_key" else json.loads(json.dumps(plain, default=str))
        assert found[name] == expected, name


def test_no_secret_is_in_argv_environment_or_a_file_that_others_may_read(
    given: Settings, environment: dict[str, str]
) -> None:
    made = program(given)
    told = " ".join([*made.argv, *made.env.values(), *environment.values()])
    assert "0123456789" not in told
    assert "****" not in told
    for file in given.home.rglob("*"):
        if file.is_file() and "0123456789" in file.read_text():
            assert file.stat().st_mode & 0o077 == 0, file


def test_nor_is_the_password_of_an_address(tmp_path: Path) -> None:
    address = "https://user:0123456789@server.example/v1"
    settings = Settings(home=tmp_path, external_chat_url=address, ollama_url=address)
    made = program(settings)
    assert "0123456789" not in " ".join([*made.argv, *made.env.values()])
    found = in_a_replica({**ray_env(settings), "PATH": os.environ["PATH"]})
    assert (found["external_chat_url"], found["ollama_url"]) == (address, address)


def test_a_changed_secret_changes_the_environment_and_one_taken_back_is_gone(
    tmp_path: Path,
) -> None:
    first = program(Settings(home=tmp_path, external_chat_key=SecretStr("sk-1")))
    second = program(Settings(home=tmp_path, external_chat_key=SecretStr("sk-2")))
    assert first.env != second.env, "or the node would go on with the old key"
    last = program(Settings(home=tmp_path))
    assert not [name for name in last.env if name.startswith("AUTOBOT_SETTINGS")]
    assert not (tmp_path / "settings.json").exists()


def test_supervisord_inherits_none_of_our_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOBOT_EXTERNAL_CHAT_KEY", "sk-old")
    monkeypatch.setenv("PATH", "/bin")
    assert clean_environment()["PATH"] == "/bin"
    assert not [name for name in clean_environment() if name.startswith("AUTOBOT_")]
