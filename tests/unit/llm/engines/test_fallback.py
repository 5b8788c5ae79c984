"""Declared lists of places, and the engine that is somebody else's server."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from autobot.errors import AutoBotError, BadRequest, Busy, ModelNotFound, Unavailable
from deployments.llm.chat import serializers
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import ChatEvent, ChatMessage, ChatRequest, Delta, ModelCard, Start
from deployments.llm.engines.openai_compatible.driver import ExternalEngine
from deployments.llm.fake import FakeEngine

ASK = (ChatMessage("user", "hello there"),)
LIST = {"assistant": ["broken/x", "fake/small"]}


class Broken:
    """Fails with `error`, after a word when `late`."""

    name = "broken"

    def __init__(self, error: AutoBotError, late: bool = False) -> None:
        self._error, self._late = error, late

    async def models(self) -> Sequence[ModelCard]:
        return [ModelCard("x", self.name, 0)]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        if self._late:
            yield Start(request.model, self.name, "CPU")
            yield Delta("half ")
        raise self._error

    async def close(self) -> None:
        return None


def service(error: AutoBotError, late: bool = False) -> ChatService:
    return ChatService([Broken(error, late), FakeEngine(["small"])], lambda: "assistant", LIST)


@pytest.mark.parametrize("model", ["assistant", "default"])
@pytest.mark.parametrize("error", [Unavailable("no power"), Busy("queue"), ModelNotFound("gone")])
async def test_next_place_answers_and_the_headers_say_why(model: str, error: AutoBotError) -> None:
    answer = await service(error).answer(ChatRequest(model, ASK, max_tokens=2))
    headers = serializers.headers(answer.start)
    assert headers["x-autobot-engine"] == "fake"
    assert headers["x-autobot-model"] == "small"
    assert headers["x-autobot-fallback"] == f"broken: {error.detail}"


async def test_wrong_request_is_wrong_everywhere() -> None:
    with pytest.raises(BadRequest, match="no"):
        await service(BadRequest("no")).answer(ChatRequest("assistant", ASK))


async def test_half_an_answer_is_never_finished_by_another_engine() -> None:
    with pytest.raises(Unavailable, match="cut"):
        await service(Unavailable("cut"), late=True).answer(ChatRequest("assistant", ASK))


async def test_when_no_place_answers_every_reason_is_told() -> None:
    places = {"assistant": ["openvino/x", "broken/x"]}
    made = ChatService([Broken(Unavailable("no power"))], lambda: None, places)
    with pytest.raises(Unavailable, match=r"no engine 'openvino' that chats.*broken: no power"):
        await made.answer(ChatRequest("assistant", ASK))


async def test_without_a_list_nothing_falls_back() -> None:
    made = ChatService([Broken(Unavailable("no power")), FakeEngine(["x"])], lambda: None)
    with pytest.raises(Unavailable, match="no power"):
        await made.answer(ChatRequest("x", ASK))


async def test_declared_lists_are_models_and_say_that_they_are_lists() -> None:
    places = {"assistant": ["broken/x", "fake/small"], "small": ["fake/small"]}
    made = ChatService([FakeEngine(["small", "large"])], lambda: "assistant", places)
    told = [serializers.model(card, made.default) for card in await made.offered()]
    owners = {one.id: one.owned_by for one in told}
    assert owners == {
        "assistant": "fallback: broken/x, fake/small",
        "small": "fallback: fake/small",
        "large": "autobot",
    }
    assert len(told) == 3, "a list hides the model of its name"
    assert [one.id for one in told if one.default] == ["assistant"]
    for name in ("assistant", "default"):
        assert (await made.offer(name)).name == "assistant"
    assert (await made.offer("large")).engine == "fake"
    with pytest.raises(ModelNotFound):
        await made.offer("nobody")
    assert [card.name for card in await made.models()] == ["small", "large"], "no engine has a list"


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

    made = ChatService([external(handle)], lambda: None)
    answer = await made.answer(ChatRequest("big", ASK, max_tokens=5))
    assert (answer.text, answer.start.engine, answer.finish.prompt_tokens) == ("Hi", "external", 3)
    assert sent[0].headers["authorization"] == "Bearer secret"
    assert json.loads(sent[0].content)["max_tokens"] == 5


async def test_external_engine_is_off_without_an_address() -> None:
    engine = external(lambda request: httpx.Response(500), url=None)
    assert await engine.models() == []
    with pytest.raises(Unavailable, match="AUTOBOT_EXTERNAL_CHAT_URL"):
        await anext(engine.chat(ChatRequest("big", ASK)))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Unavailable), (404, ModelNotFound), (429, Busy), (500, Unavailable), (400, BadRequest)],
)
async def test_external_refusal_is_translated_and_never_holds_the_key(
    status: int, error: type[AutoBotError]
) -> None:
    engine = external(lambda request: httpx.Response(status, text="what?"))
    with pytest.raises(error) as told:
        await anext(engine.chat(ChatRequest("big", ASK)))
    assert "secret" not in str(told.value)
    assert engine.limiter.running == 0
