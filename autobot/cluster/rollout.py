"""On the head, at the end of `ray up`: the same code on every VM, every room deployed.

Ray's autoscaler sets a worker up once, when it launches it. What changed since is brought to the
VMs from here: code, secrets, packages, units. Then Serve is told, and rolls the rooms that differ.
"""

import asyncio
import logging
import subprocess
import sys
import time
from pathlib import Path

import ray
from ray.autoscaler.tags import STATUS_UPDATE_FAILED, TAG_RAY_NODE_STATUS

from autobot.cluster.node import node_settings
from autobot.cluster.paths import NOT_SYNCED, VM_CODE, VM_SECRETS, VM_TOPOLOGY, cluster_dir
from autobot.cluster.state import StateFile
from autobot.cluster.teardown import ssh_command
from autobot.errors import AutoBotError, SetupError
from autobot.platform.topology import Topology, load_topology
from autobot.serving.deploy import deploy
from autobot.serving.ready import wait_until_healthy, wait_until_running
from autobot.settings import Settings

HEAD_DEADLINE_S = 90.0
JOIN_DEADLINE_S = 900.0
POLL_S = 1.0
VNC_LOGIN = "~/.autobot/secrets/desktop_password"
UPDATE_DEADLINE_S = 900.0
SET_UP = "bash ~/autobot/autobot/cluster/setup_node.sh {room}"
START = "/opt/autobot/venv/bin/python -m autobot.cluster.node start {room}"


class Say:
    """Prints a line when it differs from the last one, with the seconds since the start."""

    def __init__(self) -> None:
        self._last = ""
        self._started = time.monotonic()

    def __call__(self, line: str) -> None:
        if line != self._last:
            self._last = line
            print(f"  {time.monotonic() - self._started:5.0f} s  {line}", flush=True)


def joined() -> set[str]:
    """The addresses of the Ray nodes that are alive."""
    return {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


async def connect(settings: Settings, address: str) -> None:
    """Connect to this head's GCS, which may still be starting."""
    deadline = time.monotonic() + HEAD_DEADLINE_S
    while True:
        try:
            await asyncio.to_thread(
                ray.init, address=address, log_to_driver=False, logging_level=logging.ERROR
            )
            return
        except (ConnectionError, RuntimeError, TimeoutError) as error:
            if time.monotonic() > deadline:
                raise SetupError(
                    f"Ray on the head does not answer: {error}", "journalctl -u autobot-ray"
                ) from error
            await asyncio.sleep(POLL_S)


async def update(topology: Topology, room: str, address: str) -> None:
    """Bring one VM's code, secrets, packages and units up to date; SetupError when one fails."""
    here = cluster_dir(topology.name)
    ssh = ssh_command(topology, here / "known_hosts")
    mirror = ["--delete", *(f"--exclude={pattern}" for pattern in NOT_SYNCED)]
    sources = {
        VM_CODE: (str(Path(VM_CODE).expanduser()) + "/", mirror),
        VM_SECRETS: (f"{here / 'rooms' / room}/", ["--delete"]),
        VM_TOPOLOGY: (str(Path(VM_TOPOLOGY).expanduser()), []),
    }
    for target, (source, options) in sources.items():
        shell = subprocess.list2cmdline(ssh)
        place = f"{topology.ssh_user}@{address}:{target}"
        await _run(address, "rsync", "-az", "--rsh", shell, *options, source, place)
    await _run(address, *ssh, address, f"{SET_UP} && {START}".format(room=room))


async def _run(address: str, *command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), UPDATE_DEADLINE_S)
    except TimeoutError as error:
        process.kill()
        raise SetupError(f"{address} was not updated in {UPDATE_DEADLINE_S:.0f} s.") from error
    if process.returncode:
        raise SetupError(f"{address} cannot be updated:\n{said.decode(errors='replace').strip()}")


async def explain_failures(topology: Topology, missing: set[str]) -> None:
    """Raise SetupError with a VM's own words if its set-up by the autoscaler failed.

    The autoscaler tries again by itself but keeps the reason in its log: so ask the VM once more.
    """
    here = cluster_dir(topology.name)
    nodes = StateFile(here / "state.json").read().alive()
    for node in nodes:
        if node.address in missing and node.tags.get(TAG_RAY_NODE_STATUS) == STATUS_UPDATE_FAILED:
            ssh = ssh_command(topology, here / "known_hosts")
            await _run(node.address, *ssh, node.address, SET_UP.format(room=node.room))


async def wait_for_nodes(topology: Topology, say: Say) -> None:
    """Wait until every VM has joined; SetupError names those that did not, and why."""
    deadline = time.monotonic() + JOIN_DEADLINE_S
    while missing := set(topology.addresses) - await asyncio.to_thread(joined):
        names = sorted(f"{topology.room_at(address)} ({address})" for address in missing)
        say(f"waiting for {', '.join(names)}")
        await explain_failures(topology, missing)
        if time.monotonic() > deadline:
            raise SetupError(
                f"Not joined after {JOIN_DEADLINE_S:.0f} s: {', '.join(names)}.",
                "See ~/.autobot/run/ray/session_latest/logs/monitor*.out on the head.",
            )
        await asyncio.sleep(POLL_S)


async def rollout() -> None:
    """Update the VMs that have joined, wait for the others, deploy, and wait until all is well.

    Progress is printed. Raises SetupError at the first step that fails, and may then be run again.
    """
    topology, say = load_topology(), Say()
    settings = node_settings(topology, "main")
    await connect(settings, f"{topology.head}:{settings.gcs_port}")
    present = await asyncio.to_thread(joined) - {topology.head}
    known = present & set(topology.addresses)
    if known:
        say(f"updating {', '.join(sorted(topology.room_at(address) for address in known))}")
    updates = [update(topology, topology.room_at(address), address) for address in known]
    await asyncio.gather(*updates)
    await wait_for_nodes(topology, say)
    say(f"{len(topology.addresses)} VMs have joined; deploying the rooms")
    config = await deploy(settings, topology)
    await wait_until_running(settings, [app["name"] for app in config["applications"]], say)
    await wait_until_healthy(settings, say)
    say("every room is ok")
    print(addresses(topology, settings), flush=True)


def addresses(topology: Topology, settings: Settings) -> str:
    """Where a person goes from here, a line each."""
    frontend = topology.rooms["frontend"]
    port = frontend.port or settings.frontend_port
    rows = {
        "web": f"http://{frontend.addresses[0]}:{port}/",
        "api": f"http://{topology.head}:{settings.http_port}/docs",
        "desktop": f"http://{topology.head}:{settings.desktop_port}/vnc.html",
        "password": f"`ray exec cluster.yaml 'cat {VNC_LOGIN}'` (desktop)",
        "dashboard": "`ray dashboard cluster.yaml`, then http://localhost:8265/",
        "token": f"~/.autobot/clusters/{topology.name}/secrets/ray_token (dashboard)",
    }
    return "".join(f"\n  {name:<10} {what}" for name, what in rows.items())


def main() -> int:
    """Run `rollout`; return the exit code, which is 1 after a failure that is printed."""
    try:
        asyncio.run(rollout())
    except AutoBotError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
