"""While room redis is away: what would have to be stored is refused before it is made."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from autobot.contracts.responses import FakeResponses
from autobot.errors import Unavailable
from deployments.llm.chat.service import ChatService
from deployments.llm.fake import FakeEngine
from deployments.llm.responses.api import response_routes
from deployments.llm.responses.store import ResponseStore
from tests.contract.llm.served import key_of, served


class Away(FakeResponses):
    """Of a room redis that does not answer."""

    async def get(self, owner: str, name: str) -> str | None:
        raise Unavailable("Room redis does not answer.")


@pytest.fixture
async def asked() -> AsyncGenerator[tuple[httpx.AsyncClient, FakeEngine]]:
    engine = FakeEngine()
    key, record = key_of("llm")
    routes = response_routes(ChatService([engine], lambda: "fake"), ResponseStore(Away(())))
    headers = {"authorization": f"Bearer {key}"}
    async with (
        served([routes], [record]) as url,
        httpx.AsyncClient(base_url=url, headers=headers) as client,
    ):
        yield client, engine


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_to_be_stored_is_refused_before_the_engine_is_asked(
    asked: tuple[httpx.AsyncClient, FakeEngine], stream: bool
) -> None:
    client, engine = asked
    answer = await client.post(
        "/v1/responses", json={"model": "fake", "input": "hello", "stream": stream}
    )
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert engine.requests == []


async def test_an_answer_that_nobody_stores_is_given(
    asked: tuple[httpx.AsyncClient, FakeEngine],
) -> None:
    client, engine = asked
    answer = await client.post(
        "/v1/responses", json={"model": "fake", "input": "hello", "store": False}
    )
    assert answer.status_code == 200
    assert len(engine.requests) == 1
