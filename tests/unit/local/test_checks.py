"""Failures before the start name the cause and the remedy."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from autobot.errors import SetupError
from autobot.local.checks import check_disk, check_ports, problems
from autobot.local.up import up
from autobot.settings import Settings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_names_its_holder_and_the_setting(taken: int) -> None:
    errors = list(check_ports(Settings(browser_port=taken)))
    mine = next(error for error in errors if str(taken) in error.detail)
    assert f"pid {os.getpid()}" in mine.detail
    assert "AUTOBOT_BROWSER_PORT" in mine.remedy


@pytest.mark.parametrize(
    ("setting", "at"), [("dashboard_port", "loopback"), ("gcs_port", "node"), ("llm_port", "bind")]
)
def test_a_port_is_tried_where_it_will_be_listened_on(taken: int, setting: str, at: str) -> None:
    """The listener is at 127.0.0.1, and 127.0.0.2 is another address of this machine."""

    def found(**addresses: str) -> bool:
        settings = Settings(
            **{setting: taken, "node_ip": "127.0.0.2", "bind": "127.0.0.2"} | addresses
        )  # pyright: ignore[reportArgumentType]
        return any(str(taken) in error.detail for error in check_ports(settings))

    assert found() is (at == "loopback")
    assert found(bind="127.0.0.1") is (at in ("loopback", "bind"))
    assert found(node_ip="127.0.0.1") is (at in ("loopback", "node"))


def test_an_address_that_this_machine_does_not_have_is_not_called_taken() -> None:
    errors = [str(error) for error in check_ports(Settings(bind="192.0.2.1"))]
    assert any("cannot be opened at 192.0.2.1" in error for error in errors)


def test_one_port_for_two_things_is_refused(taken: int) -> None:
    errors = list(check_ports(Settings(llm_port=taken + 1, npu_port=taken + 1)))
    assert any("AUTOBOT_LLM_PORT" in e.detail and "AUTOBOT_NPU_PORT" in e.detail for e in errors)


def test_a_full_disk_says_how_much_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autobot.local.checks.MIN_FREE_HOME", 1 << 60)
    error = next(check_disk(Settings()))
    assert "MiB are needed" in error.detail
    assert "AUTOBOT_HOME" in error.remedy


def test_an_incomplete_cache_needs_space_and_a_complete_one_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("autobot.local.checks.MIN_FREE_CACHE", 1 << 60)
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", default_chat_model="x")
    assert "AUTOBOT_CACHE" in next(check_disk(settings)).remedy
    monkeypatch.setattr("autobot.local.checks.default_files", lambda settings: [])
    assert list(check_disk(settings)) == []


async def test_a_wrong_manifest_of_an_own_room_stops_up_before_it_changes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    (tmp_path / "rooms" / "greeter").mkdir(parents=True)
    manifest = tmp_path / "rooms" / "greeter" / "manifest.yaml"
    manifest.write_text("room: [")
    (tmp_path / "state" / "gcs").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for running in (True, False):
        assert any(str(manifest) in str(e) for e in problems(Settings(), running=running))
    with pytest.raises(SetupError) as error:
        await up(Settings(), lambda line: None)
    assert str(manifest) in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_settings_come_from_environment_then_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    (tmp_path / "autobot.toml").write_text("http_port = 9001\nnpu_port = 9002\n")
    monkeypatch.setenv("AUTOBOT_NPU_PORT", "9003")
    settings = Settings()
    assert (settings.http_port, settings.npu_port, settings.llm_port) == (9001, 9003, 8080)
