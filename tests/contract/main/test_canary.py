"""A secret is nowhere but in the calls of the steps that use it: a canary is looked for in all that
the platform writes down, answers and logs."""

import asyncio
import base64
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import redis
import structlog

from autobot.automation.secrets import mask
from autobot.backup import pack
from autobot.contracts.tools import JsonObject, ToolCall, ToolInfo
from autobot.errors import Invalid
from tests.contract.main.automations import Platform, platform, until
from tests.contract.main.conftest import redis_stack, server
from tests.contract.redis.conftest import Server

__all__ = ["platform", "redis_stack", "server"]

CANARY = 'Kanarie/7f3a "gr\u00fcn"\\&=?\u2603+end'
URL = "https://example.org/?key="


def traces(value: str) -> dict[str, bytes]:
    """What gives the value away, computed apart from the code that masks it."""
    body = value.encode()
    found = {
        "itself": body,
        "in JSON": json.dumps(value)[1:-1].encode(),
        "in JSON twice": json.dumps(json.dumps(value)[1:-1])[1:-1].encode(),
        "in JSON as it is": json.dumps(value, ensure_ascii=False)[1:-1].encode(),
        "in Python": repr(value)[1:-1].encode(),
        "in an address": quote(value, safe="").encode(),
        "in a path": quote(value).encode(),
        "in a form": quote_plus(value).encode(),
        "in hexadecimal": body.hex().encode(),
        "a part": b"Kanarie",
    }
    for before in range(3):
        for name, encode in (("", base64.b64encode), (" for URLs", base64.urlsafe_b64encode)):
            found[f"in base64{name}, place {before}"] = encode(b"x" * before + body)[4:-4]
    return found


class Birds:
    """Tools that give back what they are given, in every way."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []

    async def describe(self) -> Sequence[ToolInfo]:
        anything = {"type": "object"}
        names = ("test.crash", "test.echo", "test.fail", "test.slow")
        return [
            ToolInfo(name, name, "", anything, anything, ("npu",), True, "ask", 60.0)
            for name in names
        ]

    async def run(self, call: ToolCall) -> JsonObject:
        self.calls.append(call)
        value = str(call.arguments["value"])
        if call.name == "test.fail":
            raise Invalid(f"No: {value!r} {quote(value)} {call}")
        if call.name == "test.crash":
            raise RuntimeError(f"A fault of the tool: {value} {json.dumps(call.arguments)}")
        if call.name == "test.slow":
            await asyncio.sleep(60)
        body = value.encode()
        return {
            "given": dict(call.arguments),
            value: "as a key",
            "json": json.dumps({"a": value}),
            "url": f"{URL}{quote(value, safe='')}&form={quote_plus(value)}",
            "base64": base64.b64encode(b"user:" + body).decode(),
            "hex": body.hex(),
            "large": f"{value} " * 4_000,
        }


def step(name: str, use: str, **more: Any) -> dict[str, Any]:
    given = {"value": "${{ secrets.CANARY }}", "url": URL + "${{ secrets.CANARY }}"}
    return {"id": name, "use": f"test.{use}", "with": given | more.pop("given", {})} | more


ONCE = {"attempts": 1}
STEPS = [
    step("works", "echo"),
    step("each", "echo", for_each=["a", "b"], given={"item": "${{ item }}"}),
    step("reads", "echo", given={"before": "${{ steps.works }}", "all": "${{ steps.each }}"}),
    step("key", "echo", given={"idempotency_key": "${{ secrets.CANARY + run.id }}"}),
    step("fails", "fail", on_error="handler"),
    step("handler", "echo", given={"error": "${{ steps.fails.error.detail }}"}),
    step("crashes", "crash", needs=["key"], on_error="continue", retry=ONCE),
    step("computes", "echo", needs=["crashes"], on_error="continue",
         given={"wrong": "${{ int(secrets.CANARY) }}"}),
    step("slow", "slow", needs=["computes"], timeout=1, on_unknown="ask"),
    {"id": "ask", "use": "approve", "needs": ["slow"],
     "with": {"message": "Send ${{ steps.works.url }} and ${{ steps.crashes.error.detail }}?"}},
    step("last", "fail", needs=["ask"], retry=ONCE),
    step("alarm", "echo", given={"error": "${{ error.detail }}"}),
]  # fmt: skip


async def fly(platform: Platform) -> tuple[Birds, list[bytes]]:
    """One run through all of it; returns every answer of the API."""
    birds = Birds()
    platform.rooms.describe = birds.describe  # type: ignore[method-assign]
    platform.rooms.run = birds.run  # type: ignore[method-assign]
    await platform.room.kinds.refresh()
    answers: list[bytes] = []

    async def keep(response: Any) -> None:
        await response.aread()
        answers.append(response.content + str(response.headers).encode())

    platform.http.event_hooks["response"] = [keep]
    await platform.call("PUT", "/api/secrets/CANARY", content=CANARY.encode())
    await platform.publish(*STEPS, on_error="alarm")
    headers = {"idempotency-key": CANARY.encode().hex()}
    path = "/api/automations/job/runs"
    run = (await platform.call("POST", path, 202, json={}, headers=headers))["id"]
    for name, answer in (("slow", {"outcome": "done"}), ("ask", {"approved": True})):
        await platform.reach(run, "waiting")
        await platform.call("POST", f"/api/runs/{run}/approvals/{name}", 202, json=answer)
        await _past(platform, run, name)
    await platform.reach(run, "failed")
    again = await platform.call("POST", f"/api/runs/{run}/retry?from=last", 202)
    await platform.reach(again["id"], "failed")
    for path in ("", f"/{run}", f"/{run}/events?follow=false"):
        await platform.http.get(f"/api/runs{path}")
    for path in ("/api/automations", "/api/automations/job", "/api/secrets"):
        await platform.http.get(path)
    await platform.call("DELETE", "/api/automations/job", 204)
    await platform.call("DELETE", "/api/secrets/CANARY", 204)
    return birds, answers


async def _past(platform: Platform, run: str, name: str) -> None:
    async def is_past() -> bool:
        return (await platform.run(run))["steps"][name]["status"] != "waiting"

    await until(is_past)


async def stored(platform: Platform, request: pytest.FixtureRequest) -> bytes:
    """Every value that the store has, and a backup."""
    if "server" not in request.fixturenames and request.node.callspec.params["platform"] == "fake":
        kept = platform.runs.kept.values()
        return b"\n".join(
            part for run in kept for part in (*(e.body for e in run.log), *run.blobs.values())
        )
    server: Server = request.getfixturevalue("server")
    store = server.store()
    snapshot = await store.backup.snapshot()
    await store.close()
    password = server.secrets.read("redis/operator")
    operator = redis.Redis(port=server.settings.redis_port, username="operator", password=password)
    values = [repr((key, _value(operator, key))) for key in operator.scan_iter()]
    files = [file.read_bytes() for file in _files(server) if file.is_file()]
    return b"\n".join([*map(_plain, values), pack(snapshot), snapshot, *files])


def _files(server: Server) -> list[Path]:
    return [*(server.settings.data_dir / "redis").rglob("*")]


def _value(client: "redis.Redis", key: bytes) -> Any:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"hash":
            return client.hgetall(key)
        case b"stream":
            return client.xrange(key)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1)
        case other:
            raise AssertionError(other)


def _plain(text: str) -> bytes:
    """What ``repr`` has doubled is as it was stored."""
    return text.replace("\\\\", "\\").encode()


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test's library did to the loggers must not make this one deaf."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("autobot", "deployments")):
            logger = logging.getLogger(name)
            monkeypatch.setattr(logger, "disabled", False)
            monkeypatch.setattr(logger, "propagate", True)
            monkeypatch.setattr(logger, "level", logging.NOTSET)


def found_in(text: bytes) -> list[str]:
    return [name for name, trace in traces(CANARY).items() if trace in text]


async def test_a_secrets_value_is_in_no_journal_key_log_answer_event_or_backup(
    platform: Platform,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logs:
        birds, answers = await fly(platform)
    assert {call.name for call in birds.calls} == {
        "test.crash", "test.echo", "test.fail", "test.slow",
    }  # fmt: skip
    for call in birds.calls:
        assert call.arguments["value"] == CANARY, call.name
        assert call.arguments["url"] == URL + CANARY
        assert not found_in((call.idempotency_key or "").encode())
    kept = await stored(platform, request)
    assert b"***" in kept
    assert found_in(kept) == []
    assert found_in(b"\n".join(answers)) == []
    assert b"***" in b"\n".join(answers)
    out, err = capfd.readouterr()
    assert "a step failed unexpectedly" in caplog.text
    assert found_in((caplog.text + out + err + repr(logs)).encode()) == []


@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_the_canary_is_seen_where_nothing_is_masked(
    platform: Platform,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mask.Mask, "text", lambda self, text: text)
    with caplog.at_level(logging.DEBUG):
        _, answers = await fly(platform)
    kept = await stored(platform, request)
    assert {"a part", "in JSON"} <= set(found_in(kept + b"".join(answers)))
    assert any("base64" in name for name in found_in(kept))
    assert "in an address" in found_in(kept)
    assert "itself" in found_in(caplog.text.encode())
