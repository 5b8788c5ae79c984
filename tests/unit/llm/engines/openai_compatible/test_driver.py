"""The engine that is somebody else's server: what it is sent, and what is made of its answers."""

import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from autobot.errors import AutoBotError, BadRequest, Busy, ModelNotFound, Unavailable
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import ChatMessage, ChatRequest
from deployments.llm.engines.openai_compatible.driver import ExternalEngine
from tests.contract.llm.conftest import answer

ASK = (ChatMessage("user", "hello there"),)


def external(handle: Any, url: str | None = "http://far.test/v1") -> ExternalEngine:
    lists = {"default": ["external/big"]}
    return ExternalEngine(url, SecretStr("secret"), lists, transport=httpx.MockTransport(handle))


async def test_external_server_is_asked_with_the_key_and_its_words_passed_on() -> None:
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        chunks: list[dict[str, Any]] = [
            {"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
        ]
        return httpx.Response(200, text="".join(f"data: {json.dumps(c)}\n\n" for c in chunks))

    service = ChatService([external(handle)], lambda: None)
    whole = await answer(service, ChatRequest("big", ASK, max_tokens=5))
    assert (whole.text, whole.start.engine, whole.finish.prompt_tokens) == ("Hi", "external", 3)
    assert sent[0].headers["authorization"] == "Bearer secret"
    assert json.loads(sent[0].content)["max_tokens"] == 5


async def test_external_engine_is_off_without_an_address() -> None:
    engine = external(lambda request: httpx.Response(500), url=None)
    assert await engine.models() == []
    with pytest.raises(Unavailable, match="AUTOBOT_EXTERNAL_CHAT_URL"):
        await engine.chat(ChatRequest("big", ASK))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Unavailable), (404, ModelNotFound), (429, Busy), (500, Unavailable), (400, BadRequest)],
)
async def test_external_refusal_is_translated_and_never_holds_the_key(
    status: int, error: type[AutoBotError]
) -> None:
    engine = external(lambda request: httpx.Response(status, text="what?"))
    with pytest.raises(error) as refused:
        await engine.chat(ChatRequest("big", ASK))
    assert "secret" not in str(refused.value)
    assert engine.limiter.running == 0
