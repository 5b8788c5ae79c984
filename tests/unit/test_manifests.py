"""What manifests may say, and what is said of one that is wrong."""

import re
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
            "route_prefix": "/api/greetings",
            "errors": "openai",
        }
    ],
}


def at(prefix: str) -> dict[str, Any]:
    """What a manifest says other than `OWN`, for that route prefix."""
    return {"applications": [OWN["applications"][0] | {"route_prefix": prefix}]}


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


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("/v1/embeddings", "npu"),
        ("/v1/embeddings/x", "npu"),
        ("/v1/embeddings2", "llm"),
        ("/v1", "llm"),
        ("/v10", "main"),
        ("/", "main"),
    ],
)
def test_a_path_is_the_room_with_the_longest_prefix(path: str, room: str) -> None:
    assert rooms().room_at(path) == room


def test_an_own_room_comes_last_with_its_scope_and_prefix(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert [*found][-1] == "greeter"
    assert "greeter" in found.scopes
    assert found.room_of("greeter") == "greeter"
    assert found.dialect("/api/greetings/x") == "openai"


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
        (at("/v1/greetings"), "'/v1/greetings' of room 'greeter' takes paths of room 'llm'"),
        (at("/v1/audio/x/"), "'/v1/audio/x/' of room 'greeter' takes paths of room 'llm'"),
        (at("/api/keys"), "'/api/keys' of room 'greeter' takes paths of room 'main'"),
        (at("/api/keys/x"), "'/api/keys/x' of room 'greeter' takes paths of room 'main'"),
        (at("/api"), "'/api' of room 'greeter' takes paths of room 'browser'"),
        ({"tool_names": ["http"]}, "name of tools 'http' is declared twice"),
        ({"tool_names": ["npu"]}, "name of tools 'npu' is declared twice"),
        ({"tool_names": ["a.b"]}, "tool_names.0"),
        ({"reserved": ["/api"]}, "'/api/browser' of room 'browser' takes paths of room 'greeter'"),
    ],
)
def test_a_wrong_own_room_is_left_out_and_what_is_wrong_is_said(
    tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    found = written(tmp_path, **other)
    assert [*found] == [*load(DEPLOYMENTS)]
    assert said in str(found.left_out["greeter"])
    assert str(tmp_path / "greeter" / FILE) in str(found.left_out["greeter"])
    with pytest.raises(SetupError, match=re.escape(said)):
        found.require_all()


@pytest.mark.parametrize("prefix", ["/api/keysmith", "/v1beta", "/greeter"])
def test_a_prefix_that_only_begins_with_the_same_letters_is_free(
    tmp_path: Path, prefix: str
) -> None:
    assert "greeter" in written(tmp_path, **at(prefix))


def test_tools_are_named_as_their_room_and_as_its_manifest_says(tmp_path: Path) -> None:
    found = written(tmp_path, tool_names=["welcome"])
    assert found.tool_names("greeter") == ("greeter", "welcome")
    assert found.tool_names("browser") == ("browser", "http", "notify", "python")
    assert found.tool_names("npu-ocr") == ("npu",)


def test_an_own_room_named_as_another_rooms_tools_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    own = OWN | {"room": "python", "scopes": []}
    (tmp_path / "python" / FILE).write_text(yaml.safe_dump(own))
    assert "name of tools 'python'" in str(load(DEPLOYMENTS, tmp_path).left_out["python"])


def test_a_wrong_room_that_comes_along_starts_nothing(tmp_path: Path) -> None:
    written(tmp_path, colour="red")
    with pytest.raises(SetupError) as error:
        load(tmp_path)
    assert str(tmp_path / "greeter" / FILE) in str(error.value)


def test_an_own_room_with_another_rooms_name_is_told_apart_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / FILE).write_text(yaml.safe_dump(OWN | {"room": "llm", "scopes": []}))
    found = load(DEPLOYMENTS, tmp_path)
    assert found.folder("llm").parent == DEPLOYMENTS
    assert [*found.left_out] == [str(tmp_path / "llm")]


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
