"""A folder with a manifest and an application in `AUTOBOT_HOME/rooms` is a room like the others."""

import os
import signal

import httpx

from tests.e2e.platform.conftest import OWN_ROOM
from tests.platform import Platform, wait_for

HELLO = "/api/greeter/Ada"


def test_it_is_probed_and_listed(platform: Platform) -> None:
    found = platform.health()["rooms"][OWN_ROOM]
    assert (found["state"], found["replicas"], found["facts"]) == ("ok", 1, {"language": "en"})
    assert OWN_ROOM in platform.run("status").stdout


def test_its_routes_are_documented(platform: Platform) -> None:
    with platform.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert paths["/api/greeter/{name}"]["get"]["description"] == "Return a greeting."


def test_its_scope_is_asked_for_and_can_be_given(platform: Platform) -> None:
    assert httpx.get(platform.url + HELLO).status_code == 401
    with platform.client() as client:
        npu = client.post("/api/keys", json={"name": "other", "scopes": ["npu"]}).json()
        own = client.post("/api/keys", json={"name": "own", "scopes": [OWN_ROOM]}).json()
        unknown = client.post("/api/keys", json={"name": "no", "scopes": ["greeter:all"]})
    assert unknown.status_code == 422
    with platform.client(npu["key"]) as client:
        assert client.get(HELLO).status_code == 403
    with platform.client(own["key"]) as client:
        assert client.get(HELLO).json() == {"greeting": "Hello, Ada."}


def test_what_its_manifest_calls_public_needs_no_key(platform: Platform) -> None:
    assert httpx.get(f"{platform.url}/api/greeter").json() == "Ask for /api/greeter/NAME."


def test_its_errors_are_told_as_the_platform_tells_them(platform: Platform) -> None:
    told = httpx.get(platform.url + HELLO)
    assert told.headers["content-type"] == "application/problem+json"


def test_it_is_restarted_alone(platform: Platform) -> None:
    before = platform.replicas()
    old = before.pop(OWN_ROOM)
    platform.run("restart", OWN_ROOM)
    wait_for(
        lambda: platform.replicas().get(OWN_ROOM, old).isdisjoint(old), 60, "it was not replaced"
    )
    platform.wait_until_ok(60)
    after = platform.replicas()
    assert len(after.pop(OWN_ROOM)) == 1
    assert after == before


def test_while_its_manifest_is_wrong_it_is_left_out_and_no_other_room_is_lost(
    platform: Platform,
) -> None:
    manifest = platform.home / "rooms" / OWN_ROOM / "manifest.yaml"
    right = manifest.read_text()
    before = platform.replicas()
    try:
        manifest.write_text(f"{right}colour: red\n")
        for command in (["up", "--no-demo"], ["deploy"], ["restart", "npu"], ["doctor"]):
            refused = platform.run(*command, check=False)
            assert refused.returncode == 1
            assert "colour" in refused.stdout + refused.stderr, command
        assert platform.replicas() == before
        for pid in before["main"]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: left_out(platform), 120, "main did not say that the room is left out")
        others = {room: one["state"] for room, one in platform.health()["rooms"].items()}
        assert others.pop(OWN_ROOM) == "down"
        assert set(others.values()) == {"ok"}
    finally:
        manifest.write_text(right)
        platform.run("restart", "main")
    platform.wait_until_ok(120)
    assert platform.replicas()["npu"] == before["npu"]


def left_out(platform: Platform) -> bool:
    try:
        rooms = platform.health()["rooms"]
    except httpx.HTTPError:
        return False
    found = rooms.pop(OWN_ROOM)
    well = all(room["state"] == "ok" for room in rooms.values())
    return well and "colour" in str(found["reason"])
