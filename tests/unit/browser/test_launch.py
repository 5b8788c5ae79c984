"""How Chromium is started, without starting it."""

import os
import pwd
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from autobot.errors import SetupError
from deployments.browser import launch

SHOW = """#!/bin/sh
id -u; pwd; echo "$HOME"; ulimit -c
grep -E '^(NoNewPrivs|CapEff|Groups)' /proc/self/status
printf '%s\\n' "$@"
echo through >&3
"""


@pytest.fixture
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program in Chromium's place that says how it was started, where any user can read it."""
    folder = tmp_path_factory.mktemp("chromium")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    program = folder / "chromium"
    program.write_text(SHOW)
    program.chmod(0o755)
    return program


def as_user(monkeypatch: pytest.MonkeyPatch) -> pwd.struct_passwd:
    """The account Chromium would get: as root, some other one that every system has."""
    if os.geteuid() == 0:
        monkeypatch.setattr(launch, "USER", "nobody")
        return pwd.getpwnam("nobody")
    return pwd.getpwuid(os.geteuid())


def test_the_wrapper_gives_up_every_privilege_and_keeps_the_pipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stand_in: Path
) -> None:
    account = as_user(monkeypatch)
    profile = stand_in.parent / "profile with space"
    profile.mkdir(mode=0o700)
    prepared = launch.prepare(stand_in, tmp_path / "run", sandbox=True)
    assert prepared.user == account.pw_name
    reading, writing = os.pipe()
    command = f'exec "{prepared.executable}" "--user-data-dir={profile}" --odd="a b" 3>&{writing}'
    said = subprocess.run(
        ["bash", "-c", command], pass_fds=[writing], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said[:4] == [str(account.pw_uid), str(profile), str(profile), "0"]
    assert "NoNewPrivs:\t1" in said
    assert "CapEff:\t0000000000000000" in said
    assert said[-2:] == [f"--user-data-dir={profile}", "--odd=a b"]
    assert os.read(reading, 100) == b"through\n"
    assert profile.stat().st_uid == account.pw_uid


def test_root_without_the_browsers_user_is_told_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(launch, "USER", "autobot-nobody-has-this")
    with pytest.raises(SetupError) as refused:
        launch.prepare(Path("/bin/true"), tmp_path, sandbox=True)
    assert "useradd --system" in refused.value.remedy


def test_the_owners_chromium_is_preferred_and_never_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("")
    with pytest.raises(SetupError, match=str(mine)):
        launch.find_chromium(mine, Path("/bin/true"))
    mine.chmod(0o755)
    assert launch.find_chromium(mine, Path("/bin/true")) == mine


def test_chromium_sees_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOBOT_API_KEY", "ab_secret")
    assert "ab_secret" not in launch.environment().values()
    assert set(launch.environment()) == {"PATH", "LANG", "TZ"}


def test_only_profiles_of_dead_browsers_are_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = socket.gethostname()
    for name, lock in (
        ("dead", f"{here}-{ended.pid}"),
        ("alive", f"{here}-{os.getpid()}"),
        ("elsewhere", f"another-{ended.pid}"),
        ("young", None),
    ):
        profile = tmp_path / f"playwright_chromiumdev_profile-{name}"
        profile.mkdir()
        if lock:
            (profile / "SingletonLock").symlink_to(lock)
    (tmp_path / f"{launch.PRIVATE}{ended.pid}-artifacts-x").mkdir()
    (tmp_path / f"{launch.PRIVATE}{os.getpid()}-artifacts-mine").mkdir()
    swept = launch.sweep(tmp_path)
    assert [path.name.rpartition("-")[2] for path in swept] == ["dead", "x"]
    left = {path.name.rpartition("-")[2] for path in tmp_path.iterdir()}
    assert left == {"alive", "elsewhere", "young", "mine"}


def test_the_telling_line_of_a_launch_log_is_found() -> None:
    log = "Browser closed\n[pid=1][err] FATAL: no display\n[pid=1][err] x ERROR:dbus/bus.cc\n"
    assert launch.last_words(log) == "[pid=1][err] FATAL: no display"
