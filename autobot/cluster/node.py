"""A VM as a room: `python -m autobot.cluster.node start ROOM | stop | fetch ROOM | prepare`.

Runs as the VM's user; what belongs to the system is written through sudo. `start` is what the
cluster launcher calls as its start command, and does nothing to units that are as they should be.
"""

import asyncio
import getpass
import hashlib
import os
import pwd
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from autobot.catalogue import Catalogue
from autobot.cluster import systemd
from autobot.cluster.firewall import render_firewall
from autobot.cluster.paths import cluster_dir
from autobot.cluster.state import StateFile
from autobot.errors import AutoBotError, SetupError
from autobot.manifests import rooms
from autobot.platform import programs
from autobot.platform.programs import Program
from autobot.platform.ray_env import SYSTEM_PATH, prepare_run_dir, ray_env
from autobot.platform.topology import CHECKOUT, Topology, load_topology, own_addresses
from autobot.settings import Settings, port_setting

UNITS = Path("/etc/systemd/system")
BIN = Path("/usr/local/bin")
# What the launcher tells a start command, and the node must tell Ray.
FROM_LAUNCHER = ("RAY_CLOUD_INSTANCE_ID", "RAY_NODE_TYPE_NAME", "RAY_enable_autoscaler_v2")

# A VM whose Ray node hangs is missed after 15 s at most, one whose process ended after 6; Ray's
# defaults (10 s, 5 times) take 67 s for the first. One machine has no other to go on without it:
# there, Ray's patience with a busy machine is better.
HANGS_ARE_MISSED = {
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}

WRAPPER = """\
#!/bin/sh
# Written by AutoBot: `{name}` with this node's settings.
set -a
. {env_file}
set +a
{address}exec /opt/autobot/venv/bin/{name} "$@"
"""
# `ray start` would take an address in its environment for one to join.
RAY_ADDRESS = '[ "${{1:-}}" = start ] || export RAY_ADDRESS="${{RAY_ADDRESS:-{head}}}"\n'


def node_settings(topology: Topology, room: str) -> Settings:
    """The settings of this VM: what the topology says of it, and all its ports opened outward."""
    spec = topology.rooms[room]
    port = {} if spec.port is None else {port_setting(room): spec.port}
    home = Path.home() / ".autobot"
    given: dict[str, Any] = {
        **port,
        "home": home,
        "bind": "0.0.0.0",
        "node_ip": own_address(topology, room),
    }
    return Settings(**given)


def own_address(topology: Topology, room: str) -> str:
    """The address of ``room`` that an interface of this machine has; SetupError when none has."""
    here = own_addresses()
    for address in topology.rooms[room].addresses:
        if address in here:
            return address
    raise SetupError(f"No interface of this machine has an address of room {room}.")


def room_programs(topology: Topology, settings: Settings, room: str) -> list[Program]:
    """What runs on a VM of ``room``; Ray comes last, when what it serves is there."""
    head = room == "main"
    manifest = rooms()[room]
    ray = programs.ray_node(
        settings,
        head=head,
        resources=topology.rooms[room].resources,
        node_ip=settings.node_ip,
        head_address=f"{topology.head}:{settings.gcs_port}",
        autoscaling_config=Path.home() / "ray_bootstrap_config.yaml" if head else None,
    )
    # Its environment is a file that the `ray` command of this VM reads too.
    ray = replace(ray, env={"AUTOBOT_BUILD": build_digest(room)}, user=manifest.user)
    return [*programs.named(settings, manifest.programs), ray]


def build_digest(room: str) -> str:
    """A digest of what a running Ray node cannot change: its packages; on the head, its autoscaler.

    It stands in the unit, so a node restarts when these changed, and not for a room's own code.
    """
    files = [CHECKOUT / "locks" / f"{name}.txt" for name in ("ray", "base", room)]
    files = [file for file in files if file.exists()]
    if room == "main":
        here = Path(__file__).parent
        files += [here / f"{name}.py" for name in ("provider", "ssh_runner", "state", "paths")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def node_environment(topology: Topology, settings: Settings, current: str) -> dict[str, str]:
    """The node's environment; ``current`` is the file as it is, whose instance id outlives this."""
    known = dict(line.split("=", 1) for line in current.splitlines() if "=" in line)
    kept = {name: known[name].strip('"') for name in FROM_LAUNCHER if name in known}
    given = {name: os.environ[name] for name in FROM_LAUNCHER if name in os.environ}
    return {
        **ray_env(settings),
        **HANGS_ARE_MISSED,
        **{f"AUTOBOT_{port_setting(r).upper()}": str(s.port) for r, s in _with_port(topology)},
        "AUTOBOT_CLUSTER_FILE": str(settings.home / "cluster.yaml"),
        "PATH": f"/opt/autobot/venv/bin:{SYSTEM_PATH}",
        **kept,
        **given,
    }


def _with_port(topology: Topology) -> list[tuple[str, Any]]:
    return [(room, spec) for room, spec in topology.rooms.items() if spec.port is not None]


def system_files(
    topology: Topology, settings: Settings, room: str, own: Iterable[Program]
) -> dict[Path, str]:
    """Path -> content of everything outside the user's home; ``own`` are the room's programs."""
    env_file = Path(systemd.ENV_FILE)
    current = env_file.read_text() if env_file.exists() else ""
    environment = node_environment(topology, settings, current)
    address = RAY_ADDRESS.format(head=f"{topology.head}:{settings.gcs_port}")
    files = {
        env_file: systemd.render_env(environment),
        Path(systemd.FIREWALL_FILE): render_firewall(topology, settings, room),
        UNITS / "autobot-firewall.service": systemd.FIREWALL_UNIT,
        BIN / "ray": WRAPPER.format(name="ray", env_file=env_file, address=address),
        BIN / "autobot": WRAPPER.format(name="autobot", env_file=env_file, address=""),
    }
    user = getpass.getuser()
    for program in own:
        files[unit_of(program)] = systemd.render_unit(program, user)
    return files


def unit_of(program: Program) -> Path:
    """Return where `start` writes the program's unit, for systemd to find it."""
    return UNITS / f"{systemd.PREFIX}{program.name}.service"


def start(room: str) -> None:
    """Write what differs, restart the units it concerns, start the rest."""
    topology = load_topology()
    settings = node_settings(topology, room)
    own = room_programs(topology, settings, room)
    programs.prepare_programs(own)
    changed: set[Path] = set()
    for path, content in system_files(topology, settings, room, own).items():
        if not path.exists() or path.read_text() != content:
            _install(path, content)
            changed.add(path)
    if any(path.parent == UNITS for path in changed):
        _sudo("systemctl", "daemon-reload")
    if stale := _units() - {unit_of(program).name for program in own}:
        _sudo("systemctl", "disable", "--now", "--quiet", *stale)
    firewall = "reload-or-restart" if Path(systemd.FIREWALL_FILE) in changed else "start"
    _sudo("systemctl", "enable", "--quiet", "autobot-firewall.service")
    _sudo("systemctl", firewall, "autobot-firewall.service")
    for program in own:
        unit = unit_of(program)
        concerned = {unit, Path(systemd.ENV_FILE)} if program.name == "ray" else {unit}
        _sudo("systemctl", "enable", "--quiet", unit.name)
        _sudo("systemctl", "restart" if concerned & changed else "start", unit.name)
        did = "restarted" if concerned & changed else "running"
        print(f"{unit.name}: {skipped(program) or did}", flush=True)


def _units() -> set[str]:
    """The names of our units here, but for the firewall's, which stays."""
    found = {unit.name for unit in UNITS.glob(f"{systemd.PREFIX}*.service")}
    return found - {"autobot-firewall.service"}


def skipped(program: Program) -> str:
    """Say why systemd starts no such program here, or nothing."""
    if program.unless is not None and program.unless.exists():
        return f"left to {program.unless.name}"
    if program.unless is not None and not Path(program.argv[0]).exists():
        return f"waits for {program.argv[0]} to be installed"
    return ""


def stop() -> None:
    """Stop and disable every unit of ours but the firewall; the data stays."""
    if units := _units():
        _sudo("systemctl", "disable", "--now", "--quiet", *units)
        # Some end with an error when told to stop; that is no failure to remember.
        _sudo("systemctl", "reset-failed", "--quiet", f"{systemd.PREFIX}*")
    # On the head: what its autoscaler set up is released too, and must be set up again.
    topology = load_topology()
    state = cluster_dir(topology.name) / "state.json"
    if state.exists():
        with StateFile(state).changing() as nodes:
            for node in nodes.alive():
                nodes.change(node.id, state="terminated")


async def fetch(room: str) -> None:
    """Bring the models and parts a room needs into the cache."""
    settings = Settings()
    catalogue = Catalogue(settings.cache)
    memory = psutil.virtual_memory().total
    wanted = rooms()[room].fetches
    if wanted == "embedding":
        wanted = settings.default_embedding_model or catalogue.default(wanted, memory)
    elif wanted == "chat":
        wanted = settings.default_chat_model or catalogue.default(wanted, memory)
    if wanted:
        print(f"fetched {await catalogue.fetch(wanted)}", flush=True)


def prepare() -> None:
    """Before each start: what a reboot takes away."""
    prepare_run_dir(Settings())


def _install(path: Path, content: str) -> None:
    mode = "755" if path.parent == BIN else "644"
    _sudo("install", "-D", "-m", mode, "/dev/stdin", str(path), stdin=content)


def _sudo(*argv: str, stdin: str = "") -> None:
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    done = subprocess.run([*prefix, *argv], input=stdin, text=True, capture_output=True)
    if done.returncode:
        output = (done.stderr or done.stdout).strip()
        user = pwd.getpwuid(os.geteuid()).pw_name
        raise SetupError(
            f"`{' '.join(argv)}` failed: {output}",
            f"User {user} must have sudo without a password.",
        )


def main(argv: list[str]) -> int:
    """Do what the module's first line lists; ``argv`` comes without the program's name.

    Returns the exit code: 1 after a failure, which is printed, and 2 for what is no command.
    """
    try:
        match argv:
            case ["start", room]:
                start(room)
            case ["fetch", room]:
                asyncio.run(fetch(room))
            case ["stop"]:
                stop()
            case ["prepare"]:
                prepare()
            case _:
                print((__doc__ or "").splitlines()[0], file=sys.stderr)
                return 2
    except AutoBotError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
