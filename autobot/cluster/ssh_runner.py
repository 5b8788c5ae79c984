"""How the launcher reaches a VM: SSH that remembers host keys, and rsync that mirrors."""

import hashlib
import os
from pathlib import Path
from typing import Any

from ray.autoscaler._private.command_runner import SSHCommandRunner

from autobot.cluster.paths import NOT_SYNCED, VM_CODE, VM_SECRETS
from autobot.files import private_folder, short_folder, write_private

MIRRORED = (VM_CODE, VM_SECRETS)
LONGEST_CONTROL_DIR = 107 - len("/255.255.255.255.1234567890123456")
"""ssh listens at the VM's address there, with sixteen letters behind it while it begins to."""


def control_dir(cluster: Path) -> Path:
    """Make and return the folder where the SSH connections of one cluster folder meet.

    Whoever listens there is taken for the VM, and is sent its secrets: so it is nobody else's.
    SetupError where it is. Its path is short, as sockets' must be.
    """
    digest = hashlib.sha256(str(cluster.absolute()).encode()).hexdigest()[:10]
    return private_folder(private_folder(short_folder()) / f"ssh-{digest}")


class RoomCommandRunner(SSHCommandRunner):
    """Ray's own runner, with four differences.

    Host keys are remembered instead of ignored: the first contact is trusted, a changed key is not.
    Code and secrets are mirrored, so what was removed here goes there. Of all rooms' secrets a VM
    is sent only its own room's. And connections are shared within one cluster folder only: Ray's
    are shared by everything of one cluster name, so that of two labs, which have the same name and
    addresses on networks of their own, one would talk to the other's VMs.
    """

    def __init__(self, room: str, known_hosts: Path, rooms: Path, **options: Any) -> None:
        super().__init__(**options)
        known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not known_hosts.exists():
            write_private(known_hosts, b"")
        self._room = room
        self._rooms = rooms
        folder = control_dir(known_hosts.parent)
        self.ssh_control_path = str(folder)
        shared = {"ControlPath": f"{folder}/%h"}
        if len(os.fsencode(folder)) > LONGEST_CONTROL_DIR:
            shared = {"ControlMaster": "no", "ControlPath": "none"}  # slower, and it works
        self.ssh_options.arg_dict |= {
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(known_hosts),
            "LogLevel": "ERROR",
            **shared,
        }

    def run(self, *args: Any, **options: Any) -> Any:
        """As Ray's runner, without its option ``ssh_options_override_ssh_key``."""
        # This option makes the runner build SSH options anew, without what is set above.
        options.pop("ssh_options_override_ssh_key", None)
        return super().run(*args, **options)

    def run_rsync_up(self, source: str, target: str, options: dict[str, Any] | None = None) -> None:
        """Send ``source``, of all rooms' secrets the room's own; code and secrets are mirrored."""
        options = dict(options or {})
        if target in MIRRORED:
            options["mirror"] = True
        super().run_rsync_up(self.source_for(source), target, options)

    def source_for(self, source: str) -> str:
        """Return ``source``, or the VM's own share where it is the folder of all rooms' secrets."""
        if os.path.realpath(source) == os.path.realpath(self._rooms) and self._room != "main":
            return f"{self._rooms / self._room}/"
        return source

    def _create_rsync_filter_args(self, options: dict[str, Any]) -> list[str]:
        arguments: list[str] = super()._create_rsync_filter_args(options)
        if options.get("mirror"):
            # What is excluded is also kept from deletion: the VM's compiled files stay.
            arguments += ["--delete", *(f"--exclude={pattern}" for pattern in NOT_SYNCED)]
        return arguments
