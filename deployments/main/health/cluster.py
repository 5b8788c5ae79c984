"""The Ray cluster as room main sees it: nodes, applications, and handles to the rooms."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import ray
import structlog
from ray import serve

from autobot.contracts.health import NodeRef, RoomReport
from autobot.errors import Unavailable
from autobot.health import Expected, Serving
from autobot.manifests import rooms
from autobot.serving import control_store
from autobot.serving.calls import Application

CALL_DEADLINE_S = 3.0
SPREAD_WITHIN_S = 2.0

log = structlog.get_logger()


class ClusterView:
    """Every call has a deadline: a lost VM must not hold up those that ask about it."""

    def __init__(
        self,
        apps: Mapping[str, Sequence[str]],
        probe_deadline_s: float,
        expected: Expected = dict,
    ) -> None:
        self._apps = apps
        self._expected = expected
        # The other half is for asking one replica alone, when not all have answered.
        self._all_within_s = probe_deadline_s / 2
        self._names = [name for names in apps.values() for name in names]
        self._documents: dict[str, dict[str, Any]] = {}
        self._applications = {name: Application(name) for name in self._names}
        self._replicas: Mapping[str, int] = {}

    async def probe(self, app: str) -> list[RoomReport]:
        """The reports of the application's replicas: of all, or of one when another is silent."""
        handle = await self._applications[app].handle()
        if self._replicas.get(app, 0) > 1:
            asked = handle.broadcast("probe")
            with contextlib.suppress(TimeoutError):
                answers = await asked.results_async(
                    timeout_s=self._all_within_s, return_exceptions=True
                )
                if reports := [one for one in answers if isinstance(one, RoomReport)]:
                    return reports
        return [await handle.probe.remote()]

    async def serving(self) -> Serving:
        """Ask Serve's controller, and keep the numbers of replicas for `probe`.

        Has no deadline of its own: the caller sets one.
        """
        serving = summarise(await control_store.ask(serve.status))
        self._replicas = serving.replicas
        return serving

    async def nodes(self) -> list[dict[str, Any]]:
        """Every node Ray knows, dead ones too, with the rooms its resources pin to it."""
        try:
            nodes = await asyncio.wait_for(control_store.ask(ray.nodes), CALL_DEADLINE_S)
        except TimeoutError as error:
            raise Unavailable("Ray's control store does not answer.") from error
        return [self._describe(node) for node in nodes]

    def _describe(self, node: Mapping[str, Any]) -> dict[str, Any]:
        resources: Mapping[str, float] = node["Resources"]
        reference = NodeRef(id=node["NodeID"], address=node["NodeManagerAddress"])
        return {
            **reference.model_dump(),
            "state": "alive" if node["Alive"] else "dead",
            "reason": node.get("DeathReasonMessage") or None,
            "rooms": [room for room in self._apps if room in resources],
            "cpus": resources.get("CPU", 0.0),
            "memory_bytes": int(resources.get("memory", 0)),
        }

    async def spread_keys(self) -> list[str]:
        """Tell every replica that keys have changed; return what has not taken them.

        That is an application, with the address of its VM where others of it have. Never raises.
        """
        names = [name for names in self._apps.values() for name in names if name != "redis"]
        missing = await asyncio.gather(*(self._told(name) for name in names))
        return [each for several in missing for each in several]

    async def _told(self, app: str) -> list[str]:
        try:
            handle = await asyncio.wait_for(self._applications[app].handle(), SPREAD_WITHIN_S)
            asked = handle.broadcast("take_keys")
            taken = await asked.results_async(timeout_s=SPREAD_WITHIN_S, return_exceptions=True)
        except Exception as error:  # the change is made: whoever missed it is named
            log.warning("keys.not_taken", app=app, reason=str(error) or type(error).__name__)
            return [app]
        by = {address for address in taken if isinstance(address, str)}
        if not by or not all(isinstance(address, str) for address in taken):
            return [app]
        expected = self._expected().get(rooms().room_of(app), ())
        return [f"{app} on {address}" for address in expected if address not in by]

    async def openapi(self) -> list[dict[str, Any]]:
        """The rooms' documents; a room that is away keeps the one it last gave."""
        names = [name for name in self._names if name not in ("main", "redis")]
        found = await asyncio.gather(
            *(self._openapi(name) for name in names), return_exceptions=True
        )
        for name, document in zip(names, found, strict=True):
            if not isinstance(document, BaseException):
                self._documents[name] = document
        return list(self._documents.values())

    async def _openapi(self, app: str) -> dict[str, Any]:
        application = self._applications[app]
        unavailable = f"{app} does not answer ({{}})."
        return await application.answer(
            lambda handle: handle.openapi.remote(), CALL_DEADLINE_S, unavailable
        )


def summarise(status: Any) -> Serving:
    """Reduce Serve's status to running replicas and the words that explain a failure."""
    replicas: dict[str, int] = {}
    messages: dict[str, str] = {}
    for name, application in status.applications.items():
        deployments = application.deployments.values()
        replicas[name] = sum(d.replica_states.get("RUNNING", 0) for d in deployments)
        words = [application.message, *(d.message for d in deployments)]
        said = next((word for word in words if word), "")
        if said:
            messages[name] = said.strip().splitlines()[-1][:300]
    return Serving(replicas, messages)
