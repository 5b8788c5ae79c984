"""How the launcher reaches a VM: its own secrets only, and never another cluster's connection."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autobot import files as private
from autobot.cluster.paths import VM_CODE, VM_SECRETS
from autobot.cluster.ssh_runner import RoomCommandRunner, control_dir
from autobot.errors import SetupError


class Provider:
    def internal_ip(self, node_id: str) -> str:
        return node_id.rpartition("-")[0]


def runner(cluster: Path, room: str = "browser") -> RoomCommandRunner:
    return RoomCommandRunner(
        room=room,
        known_hosts=cluster / "known_hosts",
        rooms=cluster / "rooms",
        log_prefix="",
        node_id="172.16.168.25-g1",
        provider=Provider(),
        auth_config={"ssh_user": "autobot", "ssh_private_key": "key"},
        cluster_name="autobot",
        process_runner=subprocess,
        use_internal_ip=True,
    )


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stands for `~/.ab`, so that the tests leave nothing in it."""
    with tempfile.TemporaryDirectory(prefix="ab-") as made:
        # Others may come as far as this: what they meet is the folder itself.
        Path(made).chmod(0o755)
        monkeypatch.setattr(private, "SHORT", Path(made) / "s")
        yield


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []

    def record(self: Any, command: list[str], *args: Any, **options: Any) -> None:
        commands.append(command)

    monkeypatch.setattr(RoomCommandRunner, "_run_helper", record)
    return commands


def test_of_all_rooms_secrets_a_vm_is_sent_its_own(tmp_path: Path, sent: list[list[str]]) -> None:
    runner(tmp_path).run_rsync_up(f"{tmp_path}/rooms/", VM_SECRETS)
    (command,) = sent
    assert command[-2] == f"{tmp_path}/rooms/browser/"
    assert command[-1] == "autobot@172.16.168.25:~/.autobot/secrets/"
    assert "--delete" in command


def test_the_head_is_sent_all_rooms_secrets_as_it_hands_them_on(
    tmp_path: Path, sent: list[list[str]]
) -> None:
    runner(tmp_path, "main").run_rsync_up(f"{tmp_path}/rooms/", "~/elsewhere/")
    assert sent[0][-2] == f"{tmp_path}/rooms/"
    assert "--delete" not in sent[0]


def test_code_is_mirrored_but_compiled_files_stay(tmp_path: Path, sent: list[list[str]]) -> None:
    runner(tmp_path).run_rsync_up("/code/", VM_CODE)
    assert "--delete" in sent[0]
    assert "--exclude=__pycache__" in sent[0]


def test_a_known_host_key_that_changes_is_refused(tmp_path: Path, sent: list[list[str]]) -> None:
    runner(tmp_path).run("uptime", ssh_options_override_ssh_key="other")
    options = {word for word in sent[0] if "=" in word}
    assert "StrictHostKeyChecking=accept-new" in options
    assert f"UserKnownHostsFile={tmp_path}/known_hosts" in options


def test_two_clusters_of_one_name_share_no_connection(
    tmp_path: Path, sent: list[list[str]]
) -> None:
    for cluster in ("one", "two"):
        runner(tmp_path / cluster).run("uptime")
    paths = [word for command in sent for word in command if word.startswith("ControlPath=")]
    assert len(paths) == len(set(paths)) == 2
    home = Path("/home") / ("u" * 32)
    path = home / ".ab" / control_dir(tmp_path).name / "172.168.168.125.0123456789abcdef"
    assert len(str(path)) <= 107


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_connections_meet_where_no_other_local_user_can_listen(
    tmp_path: Path, sent: list[list[str]]
) -> None:
    """Whoever listens on the control socket is taken for the VM, and was sent its `ray_token`."""
    runner(tmp_path).run("uptime")
    (path,) = [word for word in sent[0] if word.startswith("ControlPath=")]
    folder = Path(path.removeprefix("ControlPath=")).parent
    bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/bin/python3"]
    done = subprocess.run(
        [*argv, "-c", bind, f"{folder}/172.16.168.25"], capture_output=True, text=True
    )
    assert "PermissionError" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_a_folder_for_connections_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    folder = control_dir(tmp_path)
    shutil.chown(folder, "nobody")
    with pytest.raises(SetupError, match="not a folder of this user"):
        runner(tmp_path)


def test_a_home_too_long_for_a_socket_has_connections_of_their_own(
    tmp_path: Path, sent: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "SHORT", tmp_path / ("long" * 20))
    runner(tmp_path).run("uptime")
    assert {"ControlMaster=no", "ControlPath=none"} <= set(sent[0])
