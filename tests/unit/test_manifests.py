"""What manifests may say, and what is said of one that is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from autobot.errors import SetupError
from autobot.keys import NewKey
from autobot.manifests import DEPLOYMENTS, FILE, Rooms, load, rooms
from autobot.serving.deploy import render
from autobot.settings import Settings

OWN: dict[str, Any] = {
    "room": "greeter",
    "optional": True,
    "scopes": ["greeter"],
    "applications": [
        {
            "name": "greeter",
            "import_path": "greeter.app:app",
            "deployment": "Greeter",
            "route_prefix": "/v1/greetings",
            "errors": "openai",
        }
    ],
}


def written(folder: Path, **other: Any) -> Rooms:
    (folder / "greeter").mkdir(parents=True)
    (folder / "greeter" / FILE).write_text(yaml.safe_dump(OWN | other))
    return load(DEPLOYMENTS, folder)


def test_the_rooms_that_come_along_are_in_their_order() -> None:
    assert list(rooms()) == ["main", "frontend", "npu", "redis", "llm", "browser"]


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", "openai"),
        ("/v1", "openai"),
        ("/v1/embeddings", "openai"),
        ("/v10", "problem"),
        ("/ollama/api/chat", "ollama"),
        ("/v2/models", "kserve"),
        ("/api/keys", "problem"),
        ("/", "problem"),
    ],
)
def test_errors_are_told_as_the_manifest_of_the_path_says(path: str, dialect: str) -> None:
    assert rooms().dialect(path) == dialect


def test_an_own_room_comes_last_with_its_scope_and_prefix(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert [*found][-1] == "greeter"
    assert "greeter" in found.scopes
    assert found.room_of("greeter") == "greeter"
    assert found.dialect("/v1/greetings/x") == "openai"


def test_an_own_room_is_deployed_from_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    written(tmp_path / "rooms")
    *others, own = render(Settings(home=tmp_path))["applications"]
    assert own["runtime_env"]["env_vars"]["PYTHONPATH"] == str(tmp_path / "rooms")
    assert own["deployments"][0]["ray_actor_options"]["resources"] == {"greeter": 0.2}
    assert not any("PYTHONPATH" in app["runtime_env"]["env_vars"] for app in others)
    assert NewKey(name="greets", scopes=("greeter",)).scopes == ("greeter",)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"colour": "red"}, "colour: Extra inputs"),
        ({"room": "greeting", "scopes": []}, "'greeting' is not its folder's name"),
        ({"scopes": ["admin"]}, "scope 'admin' does not begin with the room's name"),
        ({"applications": []}, "applications: "),
        ({"room": "operator", "scopes": []}, "'operator' means something else"),
        ({"room": "desktop", "scopes": []}, "'desktop' means something else"),
        ({"port": 8081}, "port 8081 is the default of the setting npu_port"),
        ({"programs": ["nope"]}, "programs.0"),
        ({"secrets": ["../other"]}, "secrets.0"),
        ({"applications": [OWN["applications"][0] | {"share": 0.9}]}, "applications.0.share"),
        ({"applications": [OWN["applications"][0] | {"name": "llm"}]}, "'llm' is declared twice"),
        (
            {"applications": [OWN["applications"][0] | {"route_prefix": "/v1"}]},
            "route prefix '/v1' is declared twice",
        ),
    ],
)
def test_a_wrong_manifest_is_named_with_what_is_wrong(
    tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    with pytest.raises(SetupError) as told:
        written(tmp_path, **other)
    assert said in str(told.value)
    assert str(tmp_path / "greeter" / FILE) in str(told.value)


def test_an_optional_room_on_no_vm_is_not_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    written(tmp_path / "rooms")
    six = render(Settings(home=tmp_path), vms=dict.fromkeys(load(DEPLOYMENTS), 1))
    assert "greeter" not in {application["name"] for application in six["applications"]}


def test_every_rooms_replicas_are_replaced_when_a_manifest_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(home: Path) -> set[str]:
        monkeypatch.setenv("AUTOBOT_HOME", str(home))
        applications = render(Settings(home=home))["applications"]
        return {each["runtime_env"]["env_vars"]["AUTOBOT_MANIFESTS"] for each in applications}

    written(tmp_path / "b" / "rooms")
    before, after = told(tmp_path / "a"), told(tmp_path / "b")
    assert len(before) == len(after) == 1
    assert before != after


@pytest.mark.parametrize("text", ["room: [", "\x00", "- a", ""])
def test_a_file_that_is_no_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / FILE).write_text(text)
    with pytest.raises(SetupError) as told:
        load(tmp_path)
    assert str(tmp_path / "odd" / FILE) in str(told.value)
