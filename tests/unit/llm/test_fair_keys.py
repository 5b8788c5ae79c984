"""One key's chats leave room for another's; and what an external server is asked for at once."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from autobot.keys import KeyRecord, KeyRing
from autobot.web.app import create_app
from deployments.llm.chat.api import chat_routes
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import ChatMessage, ChatRequest
from deployments.llm.engines.openai_compatible.driver import ExternalEngine
from deployments.llm.fake import FakeEngine
from tests.contract.llm.conftest import answer, until
from tests.contract.llm.served import key_of

pytestmark = pytest.mark.timeout(60)

SAID = [{"role": "user", "content": "hello"}]


@asynccontextmanager
async def served(engine: FakeEngine) -> AsyncGenerator[tuple[httpx.AsyncClient, ...], None]:
    """Clients with two keys."""
    (one, first), (other, second) = key_of("llm"), key_of("llm")

    async def keys() -> list[KeyRecord]:
        return [first, second]

    ring = KeyRing(keys)
    await ring.refresh()
    app = create_app("llm", [chat_routes(ChatService([engine], lambda: "fake"))], ring)
    clients = [
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://room",
            headers={"authorization": f"Bearer {key}"},
        )
        for key in (one, other)
    ]
    yield tuple(clients)
    for client in clients:
        await client.aclose()


def chat(client: httpx.AsyncClient, n: int, tokens: int) -> "asyncio.Task[httpx.Response]":
    body = {"model": "fake", "messages": SAID, "max_tokens": tokens, "n": n}
    return asyncio.create_task(client.post("/v1/chat/completions", json=body))


async def test_three_requests_with_many_choices_leave_another_key_its_turn() -> None:
    engine = FakeEngine(["fake"], slots=4, token_s=0.05)
    async with served(engine) as (greedy, modest):
        many = [chat(greedy, n, 10) for n in (8, 8, 4)]
        await until(lambda: engine.limiter.queued == 16)
        modest_one = await chat(modest, 1, 2)
        assert modest_one.status_code == 200, modest_one.text
        assert engine.limiter.queued >= 8, "it did not wait for all who came before"
        refused = await chat(greedy, 8, 10)
        assert refused.status_code == 429
        assert "this API key" in refused.text
        assert refused.headers["retry-after"]
        assert {one.status_code for one in await asyncio.gather(*many)} == {200}
    assert (engine.limiter.running, engine.limiter.queued) == (0, 0)


def counting(most: list[int]) -> httpx.MockTransport:
    """A server that answers a little later, and notes how many it answered at once."""
    inside = 0

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal inside
        inside += 1
        most.append(inside)
        await asyncio.sleep(0.05)
        inside -= 1
        chunks: list[dict[str, Any]] = [
            {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
        ]
        return httpx.Response(200, text="".join(f"data: {json.dumps(c)}\n\n" for c in chunks))

    return httpx.MockTransport(handle)


@pytest.mark.parametrize(("concurrency", "callers", "at_once"), [(None, 100, 100), (4, 6, 4)])
async def test_external_server_is_asked_for_as_many_as_its_owner_says(
    concurrency: int | None, callers: int, at_once: int
) -> None:
    most: list[int] = []
    given = {} if concurrency is None else {"concurrency": concurrency}
    engine = ExternalEngine(
        "http://far.test/v1", None, {"a": ["external/x"]}, transport=counting(most), **given
    )
    service = ChatService([engine], lambda: None)
    asked = ChatRequest("x", (ChatMessage("user", "hello"),), caller="k")
    answers = await asyncio.gather(*(answer(service, asked) for _ in range(callers)))
    assert {one.text for one in answers} == {"Hi"}
    assert max(most) == at_once
