"""Room main: the API of the platform itself."""

import asyncio
import os
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter
from ray import serve

from autobot.contracts.backup import Backup
from autobot.contracts.keys import Keys
from autobot.contracts.secrets import Secrets
from autobot.contracts.tools import Tools
from autobot.health import HealthMonitor
from autobot.manifests import rooms
from autobot.platform.secrets import SEALING_KEY
from autobot.platform.topology import TopologyFile, cluster_file
from autobot.serving.calls import client
from autobot.serving.room import NO_KEYS, RoomReplica
from autobot.tools.registry import LONGEST_S, Registry
from autobot.tools.tool import Tool, ToolSet
from deployments.main.automation.hooks import HookSecrets
from deployments.main.automation.room import AutomationRoom
from deployments.main.backup.tools import backup_tool
from deployments.main.health.cluster import ClusterView
from deployments.main.room import main_routes

WRITE_DEADLINE_S = 3.0
SNAPSHOT_DEADLINE_S = 90.0
AUTOMATION, PLATFORM = OWN = ("automation", "platform")
"""What the registry calls the tools of this replica itself."""
NO_BACKUP = "Room redis, which has the data, does not answer ({})."


@serve.deployment
@serve.ingress()
class Main(RoomReplica):
    """Health, cluster, keys and the OpenAPI document; other rooms' paths never pass through."""

    room = "main"

    def __init__(self) -> None:
        super().__init__()
        self._topology = TopologyFile(cluster_file())
        self._rooms = rooms()
        present = self._vms() or self._rooms  # a cluster may lack an optional one
        self._applications = {
            room: [application.name for application in manifest.applications]
            for room, manifest in self._rooms.items()
            if room in present
        }
        deadline_s = self.settings.probe_deadline_s
        self.cluster = ClusterView(self._applications, deadline_s, self._serving_vms)
        self.monitor = HealthMonitor(
            self._applications,
            self.cluster.probe,
            self.cluster.serving,
            deadline_s,
            self._serving_vms,
            self._vms,
            {room: str(error) for room, error in self._rooms.left_out.items()},
        )
        self.monitor.start()

    def _vms(self) -> dict[str, tuple[str, ...]]:
        topology = self._topology.of(self.address)
        return {n: r.addresses for n, r in topology.rooms.items()} if topology else {}

    def _serving_vms(self) -> dict[str, tuple[str, ...]]:
        return {room: vms for room, vms in self._vms().items() if self._rooms[room].spread}

    async def facts(self) -> dict[str, Any]:
        """Ask the desktop's port, and count the VM's cores. ``degraded`` without a desktop."""
        desktop = await desktop_answers(self.settings.desktop_port)
        facts: dict[str, Any] = {"desktop": "up" if desktop else "down", "cpus": os.cpu_count()}
        if not desktop:
            facts["degraded"] = f"the desktop does not answer on port {self.settings.desktop_port}"
        return facts

    def router(self) -> APIRouter:
        keys = client(Keys, "redis", NO_KEYS, WRITE_DEADLINE_S)
        backup = client(Backup, "redis", NO_BACKUP, SNAPSHOT_DEADLINE_S)
        registry = self._registry()
        automation, secrets = self._automation(keys, registry)
        registry.add(PLATFORM, ToolSet([self._backup_tool(backup, secrets)]))
        return main_routes(
            self.monitor,
            self.cluster,
            self.keys,
            keys,
            backup,
            registry,
            automation,
            secrets,
            self.settings.max_body_bytes,
        )

    def _automation(self, keys: Keys, registry: Registry) -> tuple[AutomationRoom, Secrets]:
        from deployments.main.automation.store.automations import RedisAutomations
        from deployments.main.automation.store.connection import connect
        from deployments.main.automation.store.runs import RedisRuns
        from deployments.main.secrets.driver import RedisSecrets
        from deployments.main.secrets.sealing import Seal

        password = (self.settings.secrets_dir / "redis" / "main").read_text().strip()
        host = self._vms().get("redis", ("127.0.0.1",))[0]
        redis = connect(host, self.settings.redis_port, "main", password)
        key = self.settings.secrets_dir / SEALING_KEY  # an older platform's next start makes it
        secrets = RedisSecrets(redis, Seal(key))
        room = AutomationRoom(
            RedisAutomations(redis),
            RedisRuns(redis),
            keys,
            self.keys,
            registry,
            self.cluster.spread_keys,
            secrets,
            self._room_states,
            HookSecrets(key.read_bytes()) if key.exists() else None,
        )
        registry.add(AUTOMATION, room.tools)
        return room, secrets

    def _backup_tool(self, backup: Backup, secrets: Secrets) -> Tool[Any, Any]:
        async def names() -> list[str]:
            return [secret.name for secret in await secrets.all()]

        return backup_tool(self.settings.home / "backups", backup, names)

    def _room_states(self) -> dict[str, tuple[str, str | None]]:
        rooms = self.monitor.health.rooms
        return {name: (health.state, health.reason) for name, health in rooms.items()}

    def _registry(self) -> Registry:
        tools: dict[str, Tools] = {}
        for room, names in self._applications.items():
            unanswered = f"Room {room}, which has the tool, does not answer ({{}})."
            for application in self._rooms[room].applications:
                if application.tools and application.name in names:
                    name = application.name
                    tools[name] = client(Tools, name, unanswered, LONGEST_S)
        return Registry(tools, self._away, self._tool_names)

    def _tool_names(self, application: str) -> Collection[str]:
        own = application in OWN
        return (application,) if own else self._rooms.tool_names(application)

    def _away(self, application: str) -> str | None:
        """Why a room cannot answer, as its health has it."""
        if application in OWN:
            return None
        room = self._rooms.room_of(application)
        health = self.monitor.health.rooms[room]
        if health.state != "down":
            return None
        return f"Room {room}, which has the tool, does not answer: {health.reason}"


async def desktop_answers(port: int) -> bool:
    """Whether the desktop's web server accepts a connection on this node."""
    try:
        connect = asyncio.open_connection("127.0.0.1", port)
        _, writer = await asyncio.wait_for(connect, 0.3)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


app = Main.bind()
