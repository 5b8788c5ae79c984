"""Deploying what the rooms' manifests declare: rolling exactly the rooms whose code changed.

Serve compares configurations, not code: files edited in place under the same import path deploy
nothing. So each application's environment carries a digest of the code its room runs. A change in
one room's folder changes that room's digest; a change in `autobot/` changes all.
"""

import asyncio
import secrets
import time
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from autobot.errors import SetupError
from autobot.files import write_private
from autobot.manifests import Application, rooms
from autobot.platform.sources import sources_digest
from autobot.platform.topology import CHECKOUT, Topology
from autobot.settings import Settings

# The command line and what brings a platform up: no replica imports them.
OUTSIDE_ROOMS = {"cli", "local", "cluster"}
# A lost VM's replica waits for it instead of moving to another VM, where it would have half the
# memory it counts on. That leaves no place for a new replica beside an old one: a rolling update
# takes one VM after the other, and the others serve. With a VM off it waits for that one first.
ONE_A_VM = {"max_replicas_per_node": 1, "max_surge_percent": 0}
ROLLING = {"max_surge_percent": 100}
ONE_MACHINE: Mapping[str, int] = {}
DEPLOY_DEADLINE_S = 150.0
POLL_S = 0.5


class Restarts:
    """A mark per room, changed by a restart: part of its configuration, so that Serve rolls it."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.home / "state" / "restarts.yaml"

    def read(self) -> dict[str, str]:
        """Return room -> mark, eight random hex digits, for rooms that have been restarted."""
        return yaml.safe_load(self._file.read_text()) if self._file.exists() else {}

    def mark(self, room: str) -> None:
        """Give ``room`` a new mark. It restarts at the next `deploy`, and not before."""
        marks = {**self.read(), room: secrets.token_hex(4)}
        write_private(self._file, yaml.safe_dump(marks).encode())


def render(
    settings: Settings, checkout: Path = CHECKOUT, vms: Mapping[str, int] = ONE_MACHINE
) -> dict[str, Any]:
    """Return the Serve configuration of this platform, whose rooms have so many ``vms``."""
    found = rooms(checkout / "deployments")
    manifests, restarts = found.digest, Restarts(settings).read()
    applications: list[dict[str, Any]] = []
    for room, manifest in found.items():
        if vms and room not in vms:
            continue  # it may be left out, and no VM has its resource
        many = vms.get(room, 1) if manifest.spread else 1
        environment = {
            "AUTOBOT_MANIFESTS": manifests,
            "AUTOBOT_CODE": _code(checkout, found.folder(room)),
            "AUTOBOT_RESTART": restarts.get(room, "0"),
        }
        if found.folder(room).parent != checkout / "deployments":
            environment["PYTHONPATH"] = str(found.folder(room).parent)
        for application in manifest.applications:
            applications.append(
                {
                    "name": application.name,
                    "route_prefix": application.route_prefix,
                    "import_path": application.import_path,
                    "deployments": [_deployment(room, application, many)],
                    "runtime_env": {"env_vars": environment},
                }
            )
    return {
        "proxy_location": "EveryNode",
        "http_options": {
            "host": settings.bind,
            "port": settings.http_port,
            "request_timeout_s": 600,
            "keep_alive_timeout_s": 75,
        },
        "logging_config": {"encoding": "JSON", "enable_access_log": False},
        "applications": applications,
    }


def _deployment(room: str, application: Application, many: int) -> dict[str, Any]:
    """A replica asks for a share of its room's custom resource, of which a VM has 1: that pins it
    there, and the rest lets the next replica start beside it during a rolling update.
    """
    spread = many > 1
    return {
        "name": application.deployment,
        "num_replicas": many if spread else application.replicas,
        "max_ongoing_requests": application.max_ongoing_requests,
        "ray_actor_options": {"num_cpus": 0, "resources": {room: application.share}},
        **(ONE_A_VM if spread else ROLLING),
    }


def _code(checkout: Path, folder: Path) -> str:
    """A digest of what a room's replicas run."""
    return sources_digest(checkout / "autobot", folder, without=OUTSIDE_ROOMS)


class ServeApi:
    """Serve's REST interface on this node's dashboard, which listens on loopback only."""

    def __init__(
        self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        token = (settings.secrets_dir / "ray_token").read_text().strip()
        self._url = f"http://127.0.0.1:{settings.dashboard_port}/api/serve/applications/"
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
            transport=transport,
            trust_env=False,  # a proxy of the environment would be given the token
        )

    async def __aenter__(self) -> "ServeApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def put(self, config: Mapping[str, Any]) -> None:
        """Declare the applications; retried while the dashboard starts."""
        deadline = time.monotonic() + DEPLOY_DEADLINE_S
        while True:
            try:
                answer = await self._client.put(self._url, json=config)
                answer.raise_for_status()
                return
            except httpx.HTTPStatusError as error:
                if error.response.status_code < 500 or time.monotonic() > deadline:
                    refusal = error.response.text[:2000]
                    raise SetupError(f"Serve refused the deployment: {refusal}") from error
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise SetupError(
                        f"Ray's dashboard does not answer: {error}", "See `autobot logs main`."
                    ) from error
            await asyncio.sleep(POLL_S)

    async def applications(self) -> dict[str, dict[str, Any]]:
        """Return name -> what Serve says of it: ``status``, ``message``, ``deployments``.

        It is asked once: raises httpx.HTTPError while the dashboard does not answer.
        """
        answer = await self._client.get(self._url)
        answer.raise_for_status()
        return answer.json()["applications"]


async def deploy(
    settings: Settings, cluster: Topology | None = None, only: Container[str] | None = None
) -> dict[str, Any]:
    """Render and declare everything; Serve rolls what differs. Returns the configuration sent.

    ``cluster`` is what this machine is the head of, if of any.

    ``only`` names the applications a new platform begins with. Serve ends what is not declared:
    with it, a running platform would lose the others. For the same reason, raises SetupError while
    an own room's manifest is wrong.
    """
    rooms().require_all()
    specs = cluster.rooms if cluster else {}
    config = render(settings, vms={room: len(spec.addresses) for room, spec in specs.items()})
    if only is not None:
        config["applications"] = [app for app in config["applications"] if app["name"] in only]
    async with ServeApi(settings) as api:
        await api.put(config)
    return config


def unready(applications: Mapping[str, Mapping[str, Any]], wanted: Sequence[str]) -> dict[str, str]:
    """Application -> its status and the last thing Serve says of it, for each not running yet."""
    waiting: dict[str, str] = {}
    for name in wanted:
        found = applications.get(name, {"status": "ABSENT"})
        if found["status"] != "RUNNING":
            waiting[name] = ": ".join([found["status"], *_last_word(found)])
    return waiting


def _last_word(application: Mapping[str, Any]) -> list[str]:
    """The end of a deployment's traceback says more than the application's own summary."""
    deployments = application.get("deployments", {}).values()
    said = [application.get("message", ""), *(d.get("message", "") for d in deployments)]
    lines = [text.strip().splitlines()[-1] for text in said if text.strip()]
    return lines[-1:]
