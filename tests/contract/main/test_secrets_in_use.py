"""Secrets over HTTP, and automations that use them: checked when published, not when saved."""

from typing import Any

import pytest

from autobot.contracts.secrets import LONGEST
from autobot.keys import NewKey, make_key
from tests.contract.main.automations import Platform, platform
from tests.contract.main.conftest import redis_stack, server

__all__ = ["platform", "redis_stack", "server"]

USES = """\
name: job
steps:
- id: send
  use: test.echo
  with:
    key: ${{ secrets.HOOK_TOKEN }}
    other: Bearer ${{ secrets.HOOK_TOKNE }}
"""
YAML = {"content-type": "application/yaml"}


async def key_of(platform: Platform, *scopes: str) -> dict[str, str]:
    """Headers with a new key of these scopes."""
    key, record = make_key(NewKey(name="other", scopes=scopes))
    await platform.keys.add(record)
    await platform.ring.refresh()
    return {"authorization": f"Bearer {key}"}


async def test_a_draft_may_name_what_is_not_there_and_publishing_says_where(
    platform: Platform,
) -> None:
    await platform.call("POST", "/api/automations", 201, content=USES, headers=YAML)
    path = "/api/automations/job/publish"
    problem = await platform.call("POST", path, 422, json={})
    assert "6:10: steps[0].with.key: there is no secret 'HOOK_TOKEN'" in problem["detail"]
    await platform.call("PUT", "/api/secrets/HOOK_TOKEN", content="a-value")
    problem = await platform.call("POST", path, 422, json={})
    assert "steps[0].with.key" not in problem["detail"]
    assert "7:12: steps[0].with.other" in problem["detail"]
    assert "did you mean 'HOOK_TOKEN'?" in problem["detail"]
    await platform.call("PUT", "/api/secrets/HOOK_TOKNE", content="b-value")
    await platform.call("POST", path, json={})
    run = await platform.run((await platform.start())["id"])
    assert run["steps"]["send"]["output"] == {"key": "***", "other": "Bearer ***"}
    (call,) = platform.rooms.calls
    assert call.arguments == {"key": "a-value", "other": "Bearer b-value"}
    assert "a-value" not in repr(call)
    assert call.caller.scopes == ("npu",), "its own key may not use the routes of secrets"


async def test_who_may_not_use_secrets_cannot_publish_what_does_but_can_start_it(
    platform: Platform,
) -> None:
    for name in ("HOOK_TOKEN", "HOOK_TOKNE"):
        await platform.call("PUT", f"/api/secrets/{name}", content="a-value")
    await platform.call("POST", "/api/automations", 201, content=USES, headers=YAML)
    lesser = await key_of(platform, "automation", "npu")
    path = "/api/automations/job"
    problem = await platform.call("POST", f"{path}/publish", 403, json={}, headers=lesser)
    assert "'secret'" in problem["detail"]
    await platform.call("POST", f"{path}/publish", json={})
    await platform.call("POST", f"{path}/runs", 202, json={}, headers=lesser)


async def test_a_secret_that_is_gone_fails_the_run_by_name_and_set_again_it_goes_on(
    platform: Platform,
) -> None:
    await platform.call("PUT", "/api/secrets/TOKEN", content="a-value")
    step: dict[str, Any] = {"id": "s", "use": "test.echo", "with": {"x": "${{ secrets.TOKEN }}"}}
    await platform.publish(step)
    await platform.call("DELETE", "/api/secrets/TOKEN", 204)
    failed = await platform.run((await platform.start())["id"])
    assert failed["error"]["type"] == "secret-missing"
    assert "'TOKEN'" in failed["error"]["detail"]
    await platform.call("PUT", "/api/secrets/TOKEN", content="a-value")
    again = await platform.call("POST", f"/api/runs/{failed['id']}/retry?from=s", 202)
    await platform.reach(again["id"], "succeeded")


async def test_no_route_gives_a_value_and_other_scopes_open_none(platform: Platform) -> None:
    made = await platform.call("PUT", "/api/secrets/TOKEN", content="a-välue")
    assert made["by"] == platform.record.id
    assert made["readable"] is True
    assert made["created"] == made["changed"]
    assert await platform.call("GET", "/api/secrets") == [made]
    assert "value" not in str(made)
    await platform.call("GET", "/api/secrets/TOKEN", 405)
    lesser = await key_of(platform, "automation", "npu", "read")
    for method, path in (
        ("GET", "/api/secrets"),
        ("PUT", "/api/secrets/TOKEN"),
        ("DELETE", "/api/secrets/TOKEN"),
    ):
        await platform.call(method, path, 403, headers=lesser)
    await platform.call("DELETE", "/api/secrets/TOKEN", 204)
    await platform.call("DELETE", "/api/secrets/TOKEN", 404)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("token", b"a-value", 422),
        ("TOKEN", b"", 422),
        ("TOKEN", b"abc", 422),
        ("TOKEN", b"\xff\xfe-hunter2", 422),
        ("TOKEN", b"hunter2" * LONGEST, 413),
    ],
)
async def test_what_is_no_secret_is_refused_and_not_repeated(
    platform: Platform, name: str, body: bytes, status: int
) -> None:
    problem = await platform.call("PUT", f"/api/secrets/{name}", status, content=body)
    assert "hunter2" not in str(problem)
    assert await platform.call("GET", "/api/secrets") == []
