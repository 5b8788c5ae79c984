"""Room main's automations over a store: the fake, and Redis with the platform's own users."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest
import pytest_asyncio

from autobot.contracts.automations import Automations, FakeAutomations
from autobot.contracts.keys import FakeKeys
from autobot.contracts.runs import FakeRuns, Runs
from autobot.contracts.secrets import FakeSecrets, Secrets
from autobot.contracts.tools import JsonObject, ToolCall, ToolInfo
from autobot.errors import Invalid, Unavailable
from autobot.keys import KeyRing, NewKey, make_key
from autobot.platform.secrets import SEALING_KEY
from autobot.tools.registry import Registry
from autobot.web.app import create_app
from deployments.main.automation.hooks import HookSecrets
from deployments.main.automation.room import AutomationRoom
from deployments.main.automation.store.automations import RedisAutomations
from deployments.main.automation.store.connection import connect
from deployments.main.automation.store.runs import RedisRuns
from deployments.main.secrets.api import secret_routes
from deployments.main.secrets.driver import RedisSecrets
from deployments.main.secrets.sealing import Seal
from deployments.main.tools.api import tool_routes

WITHIN_S = 20
NPU_TOOLS = tuple((f"test.{name}", "npu") for name in ("echo", "wait", "half"))


class Rooms:
    """Tools that count their calls; `gate` holds `test.wait` up until it is set."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.effects: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.fails = 0

    async def describe(self) -> Sequence[ToolInfo]:
        anything = {"type": "object"}
        return [
            ToolInfo(name, name, "", anything, anything, (scope,), True, "retry", 60.0)
            for name, scope in (
                ("test.echo", "npu"),
                ("test.wait", "npu"),
                ("test.secret", "llm"),
                ("test.half", "npu"),
            )
        ]

    async def run(self, call: ToolCall) -> JsonObject:
        self.calls.append(call)
        if self.fails:
            self.fails -= 1
            raise Unavailable("The room is away.")
        if call.name == "test.wait":
            await self.gate.wait()
        if call.name == "test.half":
            return {"half": "\ud800"}
        if call.arguments.get("bad"):
            raise Invalid("That cannot be.")
        self.effects[call.idempotency_key or ""] += 1
        return dict(call.arguments)


class Platform:
    """Room main's routes, engine and scheduler over a store."""

    def __init__(
        self, automations: Automations, runs: Runs, secrets: Secrets | None = None
    ) -> None:
        self.rooms = Rooms()
        scopes = ("automation", "npu", "secret")
        self.key, self.record = make_key(NewKey(name="owner", scopes=scopes))
        self.keys = FakeKeys([self.record])
        self.ring = KeyRing(self.keys.records)
        registry = Registry({"test": self.rooms})
        self.secrets = secrets or FakeSecrets()
        self.states: dict[str, tuple[str, str | None]] = {}
        self.room = AutomationRoom(
            automations,
            runs,
            self.keys,
            self.ring,
            registry,
            self.ring.refresh,
            self.secrets,
            lambda: self.states,
            HookSecrets(b"k" * 32),
        )
        registry.add("automation", self.room.tools)
        self.registry, self.runs = registry, runs
        routers = [self.room.router(), secret_routes(self.secrets), tool_routes(registry)]
        self.app = create_app("main", routers, self.ring)
        headers = {"authorization": f"Bearer {self.key}"}
        transport = httpx.ASGITransport(self.app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://m", headers=headers)

    async def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        answer = await self.http.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def publish(self, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
        document = {"name": "job", "steps": steps, **more}
        await self.call("POST", "/api/automations", 201, json=document)
        return await self.call("POST", f"/api/automations/{document['name']}/publish", json={})

    async def start(self, wait: int = WITHIN_S, **inputs: Any) -> dict[str, Any]:
        path = f"/api/automations/job/runs?wait={wait}"
        return await self.call("POST", path, 202, json={"inputs": inputs})

    async def run(self, name: str) -> dict[str, Any]:
        return await self.call("GET", f"/api/runs/{name}")

    async def runs_of(self, name: str) -> list[dict[str, Any]]:
        """Its runs, the oldest first."""
        return (await self.call("GET", f"/api/automations/{name}/runs"))[::-1]

    async def reach(self, name: str, state: str) -> dict[str, Any]:
        await until(lambda: self._is(name, state))
        return await self.run(name)

    async def _is(self, name: str, state: str) -> bool:
        return (await self.run(name))["state"] == state


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await holds():  # noqa: ASYNC110  the store tells nobody
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(params=["fake", "redis"])
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[Platform]:
    client = None
    if request.param == "fake":
        made = Platform(FakeAutomations(), FakeRuns())
    else:
        redis = request.getfixturevalue("server")
        password = redis.secrets.read("redis/main")
        client = connect("127.0.0.1", redis.settings.redis_port, "main", password)
        seal = Seal(redis.settings.secrets_dir / SEALING_KEY)
        secrets = RedisSecrets(client, seal)
        made = Platform(RedisAutomations(client), RedisRuns(client), secrets)
    await made.ring.refresh()
    await made.room.kinds.refresh()
    async with made.app.router.lifespan_context(made.app):
        yield made
    await made.http.aclose()
    if client is not None:
        await client.aclose()


ECHO = {"id": "echo", "use": "test.echo", "with": {"text": "${{ inputs.word }}"}}
WORD = {"word": {"type": "string", "default": "hello"}}
