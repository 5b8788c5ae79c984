"""Listing programs changes nothing on the disk; one step writes what they read."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from autobot.cluster import node
from autobot.platform import programs
from autobot.platform.programs import Program, one_machine_programs, prepare_programs
from autobot.platform.redis_conf import RedisServer
from autobot.platform.secrets import ensure_secrets
from autobot.settings import Settings
from tests.unit.cluster.configs import topology

KEY = "sk-external-0123456789"
CLUSTER = topology()


def on_one_machine(home: Path) -> list[Program]:
    return one_machine_programs(Settings(home=home, external_chat_key=KEY))  # pyright: ignore[reportArgumentType]


def on_vm(room: str) -> Callable[[Path], list[Program]]:
    def listed(home: Path) -> list[Program]:
        own = {"home": home, "node_ip": CLUSTER.rooms[room].addresses[0], "external_chat_key": KEY}
        return node.room_programs(CLUSTER, Settings(**own), room)

    return listed


PLATFORMS = {"one machine": on_one_machine} | {f"VM {room}": on_vm(room) for room in CLUSTER.rooms}
every_platform = pytest.mark.parametrize("listed", PLATFORMS.values(), ids=PLATFORMS.keys())


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis and the desktop count as installed."""
    server = RedisServer(Path("/opt/redis-server"), (Path("/opt/module.so"),))
    monkeypatch.setattr(programs, "find_server", lambda settings: server)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    monkeypatch.setattr(programs.shutil, "which", lambda program: f"/usr/bin/{program}")  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]


@every_platform
def test_listing_programs_writes_nothing(
    listed: Callable[[Path], list[Program]], tmp_path: Path
) -> None:
    assert "ray" in {program.name for program in listed(tmp_path)}
    assert list(tmp_path.iterdir()) == []


@every_platform
def test_what_programs_read_is_there_once_they_are_prepared_and_others_cannot_read_it(
    listed: Callable[[Path], list[Program]], tmp_path: Path
) -> None:
    ensure_secrets(tmp_path / "secrets")
    own = listed(tmp_path)
    prepare_programs(own)
    told = [word for each in own for word in (*each.argv, *each.env.values())]
    names = ("redis.conf", "vnc_password", "xauthority", "haproxy", "settings.json")
    named = {word for word in told if word.startswith(str(tmp_path)) and Path(word).name in names}
    assert named <= {str(file) for file in tmp_path.rglob("*") if file.is_file()}
    written = [file.path for program in own for file in program.files]
    assert tmp_path / "settings.json" in written
    for file in written:
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    if "redis" in {program.name for program in own}:
        assert (tmp_path / "data" / "redis").is_dir()


def test_preparing_again_keeps_the_desktops_cookie_and_removes_settings_that_are_no_more(
    tmp_path: Path,
) -> None:
    ensure_secrets(tmp_path / "secrets")
    prepare_programs(on_one_machine(tmp_path))
    cookie = (tmp_path / "run" / "xauthority").read_bytes()
    assert (tmp_path / "settings.json").exists()
    prepare_programs(one_machine_programs(Settings(home=tmp_path)))
    assert (tmp_path / "run" / "xauthority").read_bytes() == cookie
    assert not (tmp_path / "settings.json").exists()


@pytest.mark.parametrize("room", CLUSTER.rooms)
def test_the_head_alone_is_ended_as_by_a_power_cut(room: str, tmp_path: Path) -> None:
    *_, ray = on_vm(room)(tmp_path)
    assert ray.stop_signal == ("KILL" if room == "main" else "TERM")


def test_changed_users_of_redis_show_in_its_environment(tmp_path: Path) -> None:
    ensure_secrets(tmp_path / "secrets")
    before = programs.redis(Settings(home=tmp_path)).env
    users = tmp_path / "secrets" / "redis" / "users.acl"
    users.write_text(f"{users.read_text()}user another off\n")
    assert programs.redis(Settings(home=tmp_path)).env != before
