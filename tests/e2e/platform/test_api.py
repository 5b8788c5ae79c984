"""The platform's own API: health, cluster, keys, errors, documentation."""

import time

import httpx

from autobot.manifests import rooms
from tests.e2e.platform.conftest import OWN_ROOM
from tests.platform import Platform
from tests.processes import command_of

ROOMS = {*rooms(), OWN_ROOM}


def test_health_without_a_key_is_one_word(platform: Platform) -> None:
    assert httpx.get(f"{platform.url}/api/health").json() == {"state": "ok"}


def test_health_with_a_key_tells_every_room(platform: Platform) -> None:
    health = platform.health()
    assert health["state"] == "ok"
    assert set(health["rooms"]) == ROOMS
    npu, redis = health["rooms"]["npu"], health["rooms"]["redis"]
    assert npu["device"].startswith("CPU") or "NPU" in npu["device"]
    assert npu["replicas"] == len(rooms()["npu"].applications), "one of every deployment"
    assert set(redis["facts"]["modules"]) >= {"search", "ReJSON"}
    assert redis["facts"]["durable"] is True


def test_health_answers_fast(platform: Platform) -> None:
    with platform.client() as client:
        started = time.perf_counter()
        client.get("/api/health").raise_for_status()
        assert time.perf_counter() - started < 1


def test_cluster_names_nodes_rooms_devices_and_versions(platform: Platform) -> None:
    with platform.client() as client:
        cluster = client.get("/api/cluster").json()
    (node,) = [n for n in cluster["nodes"] if n["state"] == "alive"]
    assert set(node["rooms"]) == ROOMS
    assert {room["version"] for room in cluster["rooms"].values()} == {cluster["version"]}


def test_keys_are_made_scoped_and_revoked_everywhere_when_the_answer_comes(
    platform: Platform,
) -> None:
    with platform.client() as client:
        made = client.post("/api/keys", json={"name": "embedder", "scopes": ["npu"]}).json()
    assert made["unconfirmed"] == []
    embed = {"model": "default", "input": "x"}
    with platform.client(made["key"]) as limited:
        assert limited.post("/v1/embeddings", json=embed).status_code == 200
        assert limited.post("/api/browser/screenshot", json={"html": "x"}).status_code == 403
        assert limited.get("/api/keys").status_code == 403
        with platform.client() as client:
            listed = client.get("/api/keys").json()
            assert made["id"] in {key["id"] for key in listed}
            assert "sha256" not in listed[0]
            gone = client.delete(f"/api/keys/{made['id']}")
            assert (gone.status_code, gone.json()["unconfirmed"]) == (200, [])
            assert client.delete(f"/api/keys/{made['id']}").status_code == 404
        for path in ("/v1/embeddings", "/v1/chat/completions", "/api/browser/screenshot"):
            assert limited.post(path, json=embed).status_code == 401
        assert limited.get("/api/cluster").status_code == 401


def test_every_surface_refuses_without_a_key_in_its_own_shape(platform: Platform) -> None:
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        answer = httpx.post(f"{platform.url}{path}", json={})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
    for path in ("/api/ocr", "/api/browser/pdf"):
        answer = httpx.post(f"{platform.url}{path}", json={})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/api/cluster", "/api/keys", "/v1/models"):
        assert httpx.get(f"{platform.url}{path}").status_code == 401


def test_unknown_model_is_404_in_openais_shape(platform: Platform) -> None:
    body = {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}
    with platform.client() as client:
        answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


def test_a_body_over_the_limit_is_413(platform: Platform) -> None:
    with platform.client() as client:
        answer = client.post("/api/ocr", content=b"x" * (33 << 20))
    assert answer.status_code == 413


def test_one_openapi_document_for_the_whole_platform(platform: Platform) -> None:
    document = httpx.get(f"{platform.url}/openapi.json").json()
    assert set(document["paths"]) >= {
        "/api/health",
        "/api/cluster",
        "/api/keys",
        "/v1/chat/completions",
        "/v1/models",
        "/v1/embeddings",
        "/api/ocr",
        "/api/browser/screenshot",
        "/api/browser/pdf",
    }
    page = httpx.get(f"{platform.url}/docs").text
    assert "openapi.json" in page


def test_secrets_are_nowhere_in_arguments_or_logs(platform: Platform) -> None:
    secrets = [
        file.read_text().strip()
        for file in (platform.home / "secrets").rglob("*")
        if file.is_file() and file.name != "seed_keys.json"
    ]
    secrets = [secret for secret in [*secrets, platform.key] if len(secret) >= 8]
    assert len(secrets) >= 3
    for process in platform.processes():
        arguments = " ".join(command_of(process))
        assert not any(secret in arguments for secret in secrets), arguments
    for log in [*(platform.home / "logs").rglob("*"), *(platform.home / "run").rglob("*.log")]:
        if log.is_file():
            text = log.read_text(errors="replace")
            assert not any(secret in text for secret in secrets), log
