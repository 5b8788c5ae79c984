"""Making and revoking keys: what is told when something behind it fails."""

from typing import Any

import httpx
import pytest

from autobot.errors import NotFound, Unavailable
from autobot.health import HealthMonitor, Serving
from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.web.app import create_app
from deployments.main.routes import platform_routes

ADMIN, RECORD = make_key(NewKey(name="admin", scopes=("admin",)))
NEW = {"name": "new", "scopes": ["llm"]}


class Cluster:
    """Room redis and the rings of the other rooms."""

    def __init__(self) -> None:
        self.records = {RECORD.id: RECORD}
        self.silent: list[str] = []
        self.lost_answer = False
        self.away = False

    async def add_key(self, record: KeyRecord) -> None:
        self.records[record.id] = record
        if self.lost_answer:
            raise Unavailable("redis did not answer within 3 s.")

    async def revoke_key(self, key_id: str) -> KeyRecord:
        if self.away:
            raise Unavailable("redis is away.")
        if key_id not in self.records:
            raise NotFound
        return self.records.pop(key_id)

    async def key_records(self) -> list[dict[str, Any]]:
        return [record.model_dump() for record in self.records.values()]

    async def spread_keys(self) -> list[str]:
        return self.silent

    async def nodes(self) -> list[dict[str, Any]]:
        return []

    async def snapshot(self) -> bytes:
        return b""

    async def openapi(self) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def http(cluster: Cluster) -> httpx.AsyncClient:
    async def fetch() -> list[KeyRecord]:
        return list(cluster.records.values())

    async def probe(app: str) -> list[dict[str, Any]]:
        return []

    async def serving() -> Serving:
        return Serving()

    ring = KeyRing(fetch)
    await ring.refresh()
    monitor = HealthMonitor({"main": ["main"]}, probe, serving)
    app = create_app("main", [platform_routes(monitor, cluster, ring)], ring)
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


async def test_a_key_that_was_made_while_its_answer_was_lost_does_not_stay(
    http: httpx.AsyncClient, cluster: Cluster
) -> None:
    cluster.lost_answer = True
    answer = await http.post("/api/keys", json=NEW)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert set(cluster.records) == {RECORD.id}


async def test_when_even_that_is_not_known_the_answer_names_the_key(
    http: httpx.AsyncClient, cluster: Cluster
) -> None:
    cluster.lost_answer = cluster.away = True
    answer = await http.post("/api/keys", json=NEW)
    [left] = set(cluster.records) - {RECORD.id}
    assert answer.status_code == 503
    assert left in answer.json()["detail"]
