"""A deploy rolls exactly the rooms whose code changed."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from autobot.errors import SetupError
from autobot.manifests import rooms
from autobot.platform.sources import sources_digest
from autobot.platform.topology import CHECKOUT
from autobot.serving.deploy import (
    Restarts,
    ServeApi,
    deploy,
    render,
    unready,
)
from autobot.settings import Settings

NPU = {"npu", "npu-rerank", "npu-ocr", "npu-speech", "npu-kserve"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", http_port=9001)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("autobot", "deployments"):
        skipped = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
        shutil.copytree(CHECKOUT / folder, tmp_path / "checkout" / folder, ignore=skipped)
    return tmp_path / "checkout"


def codes(settings: Settings, checkout: Path) -> dict[str, str]:
    applications = render(settings, checkout)["applications"]
    return {a["name"]: a["runtime_env"]["env_vars"]["AUTOBOT_CODE"] for a in applications}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_every_room_has_its_application_pinned_by_a_fraction_of_its_own_resource(
    settings: Settings,
) -> None:
    assert set(rooms()) == {"main", "frontend", "npu", "redis", "llm", "browser"}
    for application in render(settings)["applications"]:
        for deployment in application["deployments"]:
            resources = deployment["ray_actor_options"]["resources"]
            assert list(resources) == [rooms().room_of(application["name"])]
            assert 0 < sum(resources.values()) < 0.5, "the next replica must fit beside this one"


def test_npu_and_browser_have_one_replica_on_each_of_several_vms(settings: Settings) -> None:
    vms = {"npu": 3, "browser": 2, "llm": 2, "main": 1}
    for application in render(settings, vms=vms)["applications"]:
        (deployment,) = application["deployments"]
        expected = {"npu": 3, "browser": 2}.get(rooms().room_of(application["name"]), 1)
        assert deployment["num_replicas"] == expected
        # Beside a replica that may not have another on its VM, none can start.
        assert (deployment["max_surge_percent"] == 0) == (expected > 1)
        assert deployment.get("max_replicas_per_node") == (1 if expected > 1 else None)


def test_ports_come_from_the_settings(settings: Settings) -> None:
    assert render(settings)["http_options"]["port"] == 9001


def test_a_change_in_one_room_changes_only_its_applications(
    settings: Settings, checkout: Path
) -> None:
    before = codes(settings, checkout)
    (checkout / "deployments" / "npu" / "app.py").open("a").write("# changed\n")
    assert changed(before, codes(settings, checkout)) == NPU


def test_a_change_in_the_library_changes_every_application(
    settings: Settings, checkout: Path
) -> None:
    before = codes(settings, checkout)
    (checkout / "autobot" / "errors.py").open("a").write("# changed\n")
    assert changed(before, codes(settings, checkout)) == set(before)


def test_a_change_in_the_command_line_changes_no_application(
    settings: Settings, checkout: Path
) -> None:
    before = codes(settings, checkout)
    (checkout / "autobot" / "cli" / "main.py").open("a").write("# changed\n")
    assert codes(settings, checkout) == before


def test_what_a_build_leaves_behind_changes_nothing(settings: Settings, checkout: Path) -> None:
    before = codes(settings, checkout)
    for leftover in (
        "autobot/__pycache__/x.py",
        "deployments/frontend/web/dist/index.html",
        "deployments/frontend/web/src/generated/sdk.gen.ts",
    ):
        (checkout / leftover).parent.mkdir(parents=True, exist_ok=True)
        (checkout / leftover).write_text("built")
    assert codes(settings, checkout) == before


def test_renaming_a_file_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    before = sources_digest(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert sources_digest(tmp_path) != before


def test_restart_changes_one_room_every_time(settings: Settings) -> None:
    def marks() -> dict[str, str]:
        applications = render(settings)["applications"]
        return {a["name"]: a["runtime_env"]["env_vars"]["AUTOBOT_RESTART"] for a in applications}

    before = marks()
    Restarts(settings).mark("llm")
    once = marks()
    Restarts(settings).mark("llm")
    assert changed(before, once) == changed(once, marks()) == {"llm", "llm-ollama"}


def test_unready_names_what_serve_says() -> None:
    found = {
        "a": {"status": "RUNNING", "message": ""},
        "b": {"status": "DEPLOY_FAILED", "message": "trace\nno such model"},
    }
    assert unready(found, ["a", "b", "c"]) == {"b": "DEPLOY_FAILED: no such model", "c": "ABSENT"}


async def test_a_refused_deployment_says_why(settings: Settings) -> None:
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "ray_token").write_text("token")
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(400, text="two applications share a prefix")

    async with ServeApi(settings, httpx.MockTransport(answer)) as api:
        with pytest.raises(SetupError, match="share a prefix"):
            await api.put({})
    assert seen[0].headers["authorization"] == "Bearer token"


async def test_a_platform_can_begin_with_some_applications_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[str]] = []

    async def put(self: ServeApi, config: dict[str, Any]) -> None:
        sent.append([application["name"] for application in config["applications"]])

    monkeypatch.setattr(ServeApi, "put", put)
    settings.secrets_dir.mkdir(parents=True, exist_ok=True)
    (settings.secrets_dir / "ray_token").write_text("t")
    await deploy(settings, only=("redis", "llm"))
    everything = await deploy(settings)
    assert sent == [["redis", "llm"], [app["name"] for app in everything["applications"]]]
    assert len(sent[1]) > 2


async def test_nothing_is_deployed_while_an_own_rooms_manifest_is_wrong(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    (tmp_path / "rooms" / "greeter").mkdir(parents=True)
    (tmp_path / "rooms" / "greeter" / "manifest.yaml").write_text("room: [")
    with pytest.raises(SetupError, match=r"greeter/manifest\.yaml"):
        await deploy(settings)
