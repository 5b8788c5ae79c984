"""Making and revoking keys: what is told when something behind it fails."""

from typing import Any

import httpx
import pytest

from autobot.contracts.backup import FakeBackup
from autobot.contracts.health import RoomReport
from autobot.contracts.keys import FakeKeys
from autobot.contracts.secrets import FakeSecrets
from autobot.errors import Unavailable
from autobot.health import HealthMonitor, Serving
from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.tools.registry import Registry
from autobot.web.app import create_app
from deployments.main.automation.fake import fake_automation
from deployments.main.room import main_routes

ADMIN, RECORD = make_key(NewKey(name="admin", scopes=("admin",)))
NEW = {"name": "new", "scopes": ["llm"]}


class Cluster:
    """Nodes, and the rings of the other rooms."""

    def __init__(self) -> None:
        self.silent: list[str] = []
        self.spreads = 0

    async def spread_keys(self) -> list[str]:
        self.spreads += 1
        return self.silent

    async def nodes(self) -> list[dict[str, Any]]:
        return []

    async def openapi(self) -> list[dict[str, Any]]:
        return []


class LostKeys(FakeKeys):
    """Of room redis, whose answers may be lost."""

    lost_answer = False
    away = False

    async def add(self, record: KeyRecord) -> None:
        await super().add(record)
        if self.lost_answer:
            raise Unavailable("redis did not answer within 3 s.")

    async def revoke(self, key_id: str) -> KeyRecord:
        if self.away:
            raise Unavailable("redis is away.")
        return await super().revoke(key_id)


@pytest.fixture
def keys() -> LostKeys:
    return LostKeys([RECORD])


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def http(cluster: Cluster, keys: LostKeys) -> httpx.AsyncClient:
    async def probe(app: str) -> list[RoomReport]:
        return []

    async def serving() -> Serving:
        return Serving()

    ring = KeyRing(keys.records)
    await ring.refresh()
    monitor = HealthMonitor({"main": ["main"]}, probe, serving)
    registry = Registry({})
    automation = fake_automation(keys, ring, registry)
    routes = main_routes(
        monitor, cluster, ring, keys, FakeBackup(), registry, automation, FakeSecrets(), 1 << 20
    )
    app = create_app("main", [routes], ring)
    transport = httpx.ASGITransport(app)
    headers = {"authorization": f"Bearer {ADMIN}"}
    return httpx.AsyncClient(transport=transport, base_url="http://main", headers=headers)


async def test_who_has_not_taken_a_change_is_named(
    http: httpx.AsyncClient, cluster: Cluster
) -> None:
    made = (await http.post("/api/keys", json=NEW)).json()
    assert made["unconfirmed"] == []
    cluster.silent = ["npu on 10.0.0.7"]
    gone = await http.delete(f"/api/keys/{made['id']}")
    assert (gone.status_code, gone.json()["unconfirmed"]) == (200, ["npu on 10.0.0.7"])


async def test_a_revocation_that_fails_in_the_middle_is_told_to_every_replica(
    http: httpx.AsyncClient, cluster: Cluster, keys: LostKeys
) -> None:
    made = (await http.post("/api/keys", json=NEW)).json()
    keys.away, spreads = True, cluster.spreads
    assert (await http.delete(f"/api/keys/{made['id']}")).status_code == 503
    assert cluster.spreads == spreads + 1


async def test_a_key_that_was_made_while_its_answer_was_lost_does_not_stay(
    http: httpx.AsyncClient, keys: LostKeys
) -> None:
    keys.lost_answer = True
    answer = await http.post("/api/keys", json=NEW)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert set(keys.by_id) == {RECORD.id}


async def test_when_even_that_is_not_known_the_answer_names_the_key(
    http: httpx.AsyncClient, keys: LostKeys
) -> None:
    keys.lost_answer = keys.away = True
    answer = await http.post("/api/keys", json=NEW)
    [left] = set(keys.by_id) - {RECORD.id}
    assert answer.status_code == 503
    assert left in answer.json()["detail"]
