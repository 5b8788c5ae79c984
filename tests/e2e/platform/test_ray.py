"""The cluster is there for its owner's programs too: `autobot ray` and Ray's own command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.platform import Platform

JOB = """
import ray, sys
ray.init()
print("nodes", sum(node["Alive"] for node in ray.nodes()), "with", sys.executable)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my.py").write_text(JOB)
    return tmp_path


def test_a_job_runs_with_the_platforms_python(platform: Platform, folder: Path) -> None:
    submit = ("job", "submit", "--working-dir", str(folder), "--", "python", "my.py")
    done = platform.run("ray", *submit, timeout=180)
    assert f"nodes 1 with {sys.executable}" in done.stdout, done.stdout + done.stderr


def test_rays_own_command_line_needs_no_more_than_what_up_and_status_name(
    platform: Platform, folder: Path
) -> None:
    """The address and the file of the token are printed; the rest is Ray's documentation."""
    said = platform.run("status").stdout
    token, url = platform.home / "secrets" / "ray_token", f":{platform.port('dashboard')}/"
    assert url in said
    assert token.name in said.replace("\n", "")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ray")), "job", "submit", "--", "python", "--version"],
        env={
            **os.environ,
            "RAY_ADDRESS": f"http://127.0.0.1:{platform.port('dashboard')}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"Python {sys.version.split()[0]}" in done.stdout, done.stdout + done.stderr


def test_other_commands_find_the_platform_and_fail_as_rays_do(platform: Platform) -> None:
    nodes = platform.run("ray", "list", "nodes", "--format", "json", timeout=60)
    assert len(json.loads(nodes.stdout)) == 1
    assert "1.0 npu" in platform.run("ray", "status", timeout=60).stdout
    assert platform.run("ray", "no-such-command", check=False).returncode == 2


def test_without_a_platform_it_says_how_to_get_one(tmp_path: Path) -> None:
    refused = Platform.make(tmp_path / "none").run("ray", "status", check=False)
    assert refused.returncode == 1
    assert "autobot up" in refused.stderr
    assert "ray up cluster.yaml" in refused.stderr
