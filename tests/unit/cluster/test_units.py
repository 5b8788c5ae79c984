"""Units and environment files say what they mean, and hold no secret."""

import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autobot import files as private
from autobot.cluster.node import skipped
from autobot.cluster.systemd import quoted, render_env, render_unit
from autobot.errors import SetupError
from autobot.platform.desktop import obscured, xauthority
from autobot.platform.programs import Program, ollama, ollama_is_here, ray_node
from autobot.platform.ray_env import prepare_run_dir, ray_env, short_run_dir
from autobot.settings import Settings


def test_a_word_with_quotes_and_percent_survives_systemds_reading() -> None:
    assert quoted('--resources={"main": 1.0}') == r'"--resources={\"main\": 1.0}"'
    assert quoted("100%") == '"100%%"'
    assert quoted("--port=6380") == "--port=6380"


@pytest.mark.parametrize("value", ["plain", "with space", 'a"quote', "$HOME", "back\\slash", "`x`"])
def test_a_shell_reads_the_environment_file_as_written(tmp_path: Path, value: str) -> None:
    (tmp_path / "env").write_text(render_env({"THING": value}))
    script = f'set -a; . {shlex.quote(str(tmp_path / "env"))}; printf %s "$THING"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == value


def test_a_unit_restarts_for_ever_and_takes_all_its_processes_along() -> None:
    unit = render_unit(Program("ray", ("/bin/ray", "start")), "autobot")
    for line in ("Restart=always", "KillMode=control-group", "StartLimitIntervalSec=0"):
        assert line in unit.splitlines()


@pytest.mark.parametrize(("head", "signal"), [(True, "SIGKILL"), (False, "SIGTERM")])
def test_the_unit_of_rays_head_ends_it_as_a_power_cut_does(
    tmp_path: Path, head: bool, signal: str
) -> None:
    node = ray_node(
        Settings(home=tmp_path), head=head, resources={}, node_ip="172.16.168.20", head_address=None
    )
    lines = render_unit(node, "autobot").splitlines()
    assert [line for line in lines if line.startswith("KillSignal")] == [f"KillSignal={signal}"]


def test_a_unit_sets_each_of_its_values_once(tmp_path: Path) -> None:
    for program in (ollama(Settings(home=tmp_path)), Program("ray", ("/bin/ray",), user="root")):
        names = [
            line.partition("=")[0]
            for line in render_unit(program, "autobot").splitlines()
            if "=" in line and not line.startswith(("Environment=", "ConditionPath"))
        ]
        assert len(names) == len(set(names))


def test_the_unit_of_a_program_that_others_may_run_yields_to_them(tmp_path: Path) -> None:
    program = ollama(Settings(home=tmp_path))
    lines = render_unit(program, "autobot").splitlines()
    assert "ConditionFileIsExecutable=/usr/local/bin/ollama" in lines
    assert "ConditionPathExists=!/etc/systemd/system/ollama.service" in lines
    assert "Environment=OLLAMA_HOST=http://127.0.0.1:11434" in lines
    assert "Condition" not in render_unit(Program("ray", ("/bin/ray", "start")), "autobot")


def test_why_a_program_is_not_started_is_said(tmp_path: Path) -> None:
    binary, unit = tmp_path / "ollama", tmp_path / "ollama.service"
    program = Program("ollama", (str(binary), "serve"), unless=unit)
    assert skipped(program) == f"waits for {binary} to be installed"
    binary.touch()
    assert skipped(program) == ""
    unit.touch()
    assert skipped(program) == "left to ollama.service"
    assert skipped(Program("ray", ("/not/there", "start"))) == ""


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://localhost", True),
        ("http://[::1]:9999", True),
        ("http://0.0.0.0:11434", True),
        ("http://172.16.168.24:11434", True),
        ("http://10.0.0.7:11434", False),
        ("https://ollama.example.com", False),
    ],
)
def test_an_ollama_elsewhere_is_not_supervised_here(tmp_path: Path, url: str, here: bool) -> None:
    settings = Settings(home=tmp_path, ollama_url=url, node_ip="172.16.168.24")
    assert ollama_is_here(settings) is here


def test_only_the_unit_that_runs_as_root_may_make_control_groups() -> None:
    browser = Program("ray", ("/bin/ray", "start"), user="root")
    assert "Delegate=yes" in render_unit(browser, "autobot").splitlines()
    assert "Delegate" not in render_unit(Program("ray", ("/bin/ray", "start")), "autobot")


def test_the_ray_node_and_its_environment_hold_no_secret(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, api_key="ab_the_first_key_0123456789")  # pyright: ignore[reportArgumentType]
    node = ray_node(
        settings, head=True, resources={"main": 1.0}, node_ip="172.16.168.20", head_address=None
    )
    told = " ".join([*node.argv, *ray_env(settings).values()])
    assert "the_first_key" not in told
    assert ray_env(settings)["RAY_AUTH_MODE"] == "token"


def test_every_port_of_a_node_is_fixed(tmp_path: Path) -> None:
    node = ray_node(
        Settings(home=tmp_path),
        head=False,
        resources={"npu": 1.0},
        node_ip="172.16.168.22",
        head_address="172.16.168.20:6380",
    )
    flags = {word.split("=")[0] for word in node.argv if "port" in word}
    assert flags == {
        "--node-manager-port", "--object-manager-port", "--min-worker-port", "--max-worker-port",
        "--metrics-export-port", "--dashboard-agent-listen-port", "--dashboard-agent-grpc-port",
        "--runtime-env-agent-port",
    }  # fmt: skip


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stands for `~/.ab`, so that the tests leave nothing in it."""
    with tempfile.TemporaryDirectory(prefix="ab-") as made:
        monkeypatch.setattr(private, "SHORT", Path(made) / "s")
        yield Path(made) / "s"


def test_sockets_fit_their_limit_however_deep_the_home_lies(tmp_path: Path) -> None:
    haproxy = len("/h/") + 56 + len("/a") + len(".4194304.tmp")
    ray = len("/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.1")
    for home in (Path("/home/autobot/.autobot"), Path("/root/.autobot"), tmp_path / ("deep" * 30)):
        short = len(str(short_run_dir(Settings(home=home))))
        assert short + max(haproxy, ray) <= 107, home


def test_a_short_run_dir_is_used_as_it_is_and_a_long_one_through_a_link_of_ours(
    tmp_path: Path, short: Path
) -> None:
    vm = Path("/home/autobot/.autobot")
    assert short_run_dir(Settings(home=vm)) == vm / "run"
    settings = Settings(home=tmp_path / ("deep" * 30))
    prepare_run_dir(settings)
    prepare_run_dir(settings)
    link = short_run_dir(settings)
    assert link.readlink() == settings.run_dir
    assert link.parent == short
    assert stat.S_IMODE(short.stat().st_mode) == 0o700
    shutil.rmtree(settings.home)
    prepare_run_dir(Settings(home=tmp_path / ("other" * 30)))
    assert not link.is_symlink(), "what a deleted platform left is removed"


def test_a_short_path_that_leads_elsewhere_is_refused(tmp_path: Path, short: Path) -> None:
    settings = Settings(home=tmp_path / ("mine" * 10))
    short.mkdir(mode=0o700)
    short_run_dir(settings).symlink_to(tmp_path)
    with pytest.raises(SetupError, match="not this platform's link"):
        prepare_run_dir(settings)


def test_a_home_too_long_for_sockets_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "SHORT", tmp_path / ("u" * 40) / ".ab")
    with pytest.raises(SetupError, match="too long a path for sockets") as refused:
        prepare_run_dir(Settings(home=tmp_path / ("mine" * 10)))
    assert "at most 30 bytes" in refused.value.remedy


def test_the_vnc_password_file_is_what_vncpasswd_writes() -> None:
    # `vncpasswd -f` of TigerVNC for the password "password".
    assert obscured("password") == bytes.fromhex("dbd83cfd727a1458")


def test_the_cookie_file_matches_any_display() -> None:
    assert xauthority(b"c" * 16) == (
        b"\xff\xff\x00\x00\x00\x00\x00\x12MIT-MAGIC-COOKIE-1\x00\x10" + b"c" * 16
    )
