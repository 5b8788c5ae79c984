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


async def sent(request: ChatRequest) -> dict[str, Any]:
    """The body that a server is sent, which then answers one word."""
    bodies: list[dict[str, Any]] = []

    def handle(http: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(http.content))
        chunk = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
        return httpx.Response(200, text=f"data: {json.dumps(chunk)}\n\n")

    chat = await external(handle).chat(request)
    await chat.aclose()
    return bodies[0]


async def test_logprobs_are_asked_for_in_the_form_of_each_api() -> None:
    chat = await sent(ChatRequest("big", ASK, logprobs=2))
    assert (chat["logprobs"], chat["top_logprobs"]) == (True, 2)
    raw = await sent(ChatRequest("big", (), prompt="one", logprobs=2))
    assert raw["logprobs"] == 2
    assert "top_logprobs" not in raw


@pytest.mark.parametrize(
    ("begins", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x10\0\0\0WEBP", "image/webp"),
        (b"GIF89a", "image/gif"),
    ],
)
async def test_a_picture_is_sent_as_what_its_first_bytes_say(begins: bytes, kind: str) -> None:
    body = await sent(ChatRequest("big", (ChatMessage("user", "?", (begins + b"rest",)),)))
    text, picture = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "?"}
    assert picture["image_url"]["url"].startswith(f"data:{kind};base64,")


async def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(BadRequest, match="none of PNG"):
        await sent(ChatRequest("big", (ChatMessage("user", "?", (b"%PDF-1.7",)),)))
