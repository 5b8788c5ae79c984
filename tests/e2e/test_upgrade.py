"""A platform that an earlier commit has set up starts on this code, with all it was given."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autobot.platform.topology import CHECKOUT
from tests import parts
from tests.platform import Platform

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

BEFORE = os.environ.get("AUTOBOT_BEFORE", "80aeca5")
"""The commit that sets the platform up; the default has a `serve.yaml` and no manifests."""


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Path]:
    """A checkout of the earlier commit, with the page that this one has built."""
    tree = tmp_path / "before"
    subprocess.run(["git", "worktree", "add", "--detach", tree, BEFORE], cwd=CHECKOUT, check=True)
    modules = "deployments/frontend/web/node_modules"
    (tree / modules).symlink_to(CHECKOUT / modules)
    try:
        yield tree
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=CHECKOUT, check=True)


def test_keys_profiles_and_responses_outlive_the_upgrade(tmp_path: Path, before: Path) -> None:
    parts.fetch_all()
    platform = Platform.make(tmp_path / "home", display=44)
    old = {**platform.environment, "PYTHONPATH": str(before)}
    earlier = [sys.executable, "-m", "autobot"]
    try:
        subprocess.run([*earlier, "up", "--no-demo"], env=old, cwd=before, check=True)
        with platform.client() as client:
            made = client.post(
                "/api/keys", json={"name": "kept", "scopes": ["llm", "browser"]}
            ).json()
            opened = client.post("/api/browser/sessions", json={"profile": "kept"})
            assert opened.status_code == 201, opened.text
            client.delete(f"/api/browser/sessions/{opened.json()['id']}").raise_for_status()
            body = {"model": "default", "input": "Say hello.", "max_output_tokens": 16}
            answered = client.post("/v1/responses", json=body).raise_for_status().json()
            profiles = client.get("/api/browser/profiles").raise_for_status().json()
        subprocess.run([*earlier, "down"], env=old, cwd=before, check=True)
        platform.up("--no-demo")
        platform.wait_until_ok(120)
        with platform.client(made["key"]) as client:
            assert client.get("/v1/models").status_code == 200
        with platform.client() as client:
            assert made["id"] in {key["id"] for key in client.get("/api/keys").json()}
            assert client.get("/api/browser/profiles").json() == profiles
            kept = client.get(f"/v1/responses/{answered['id']}").raise_for_status().json()
        assert kept["output"] == answered["output"]
    finally:
        platform.down()
