"""How Chromium is started, without starting it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autobot.errors import SetupError
from deployments.browser.chromium import launch
from deployments.browser.chromium.isolation import accounts, folders, namespaces
from tests.folders import let_in

SHOW = """#!/bin/sh
id -u; pwd; echo "$HOME"; ulimit -c
grep -E '^(NoNewPrivs|CapEff|CapBnd|Groups)' /proc/self/status
printf '%s\\n' "$@"
echo through >&3
"""


@pytest.fixture
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program in Chromium's place that says how it was started, where any user can read it."""
    folder = let_in(tmp_path_factory.mktemp("chromium"))
    program = folder / "chromium"
    program.write_text(SHOW)
    program.chmod(0o755)
    return program


@pytest.fixture
def mine() -> Iterator[folders.Folders]:
    made = folders.make("test", accounts.fresh())
    yield made
    made.remove()


@pytest.fixture(params=["shut in", "without namespaces"])
def shut_in(request: pytest.FixtureRequest, mine: folders.Folders) -> namespaces.Namespaces:
    if request.param != "shut in":
        return namespaces.NO_NAMESPACES
    found = namespaces.prepare(mine)
    if not found.program:
        pytest.skip(found.why)
    return found


def test_the_wrapper_gives_up_every_privilege_and_keeps_the_pipe(
    tmp_path: Path, stand_in: Path, mine: folders.Folders, shut_in: namespaces.Namespaces
) -> None:
    chosen = launch.Launch(stand_in, sandbox=True, namespaces=shut_in)
    executable = launch.wrapper(chosen, mine, tmp_path / "run")
    theirs = tmp_path / "playwrights profile"
    theirs.mkdir()
    reading, writing = os.pipe()
    command = f'exec "{executable}" "--user-data-dir={theirs}" --odd="a b" 3>&{writing}'
    said = subprocess.run(
        ["bash", "-c", command],
        pass_fds=[writing],
        capture_output=True,
        text=True,
        check=True,
        env=launch.environment(mine),
        cwd=mine.base,
    ).stdout.splitlines()
    where = str(mine.tmp if shut_in.program else mine.base)
    assert said[:4] == [str(mine.account.uid), where, str(mine.home), "0"]
    assert "NoNewPrivs:\t1" in said
    assert "CapEff:\t0000000000000000" in said
    if os.geteuid() == 0:
        assert "CapBnd:\t0000000000000000" in said
    assert said[-2:] == [f"--user-data-dir={mine.tmp}/profile", "--odd=a b"]
    assert os.read(reading, 100) == b"through\n"
    assert not theirs.exists()


def test_root_without_the_browsers_user_is_told_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "BROWSER_USER", "autobot-nobody-has-this")
    with pytest.raises(SetupError) as refused:
        accounts.ours()
    assert "useradd --system" in refused.value.remedy


def test_the_owners_chromium_is_preferred_and_never_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("")
    with pytest.raises(SetupError, match=str(mine)):
        launch.find_chromium(mine, Path("/bin/true"))
    mine.chmod(0o755)
    assert launch.find_chromium(mine, Path("/bin/true")) == mine


def test_chromium_sees_none_of_our_environment_and_no_home(
    monkeypatch: pytest.MonkeyPatch, mine: folders.Folders
) -> None:
    monkeypatch.setenv("AUTOBOT_API_KEY", "ab_secret")
    environment = launch.environment(mine)
    assert "ab_secret" not in environment.values()
    assert {environment[name] for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")} == {
        str(mine.home)
    }
    assert environment["ALSA_CONFIG_PATH"] == "/dev/null"
    assert not [name for name in environment if name.lower().startswith("autobot")]


def test_the_telling_line_of_a_launch_log_is_found() -> None:
    log = "Browser closed\n[pid=1][err] FATAL: no display\n[pid=1][err] x ERROR:dbus/bus.cc\n"
    assert launch.last_words(log) == "[pid=1][err] FATAL: no display"
