"""Declared lists of places, tried in order."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack

import pytest

from autobot.errors import AutoBotError, BadRequest, Busy, ModelNotFound, Unavailable
from deployments.llm.chat import serializers
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import (
    Chat,
    ChatEngine,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Delta,
    ModelCard,
    Start,
)
from deployments.llm.engines.fallback import FallbackEngine
from deployments.llm.fake import FakeEngine
from tests.contract.llm.conftest import answer

ASK = (ChatMessage("user", "hello there"),)
LIST = {"assistant": ["broken/x", "fake/small"]}


class Broken:
    """Fails with `error`, after a word when `late`."""

    name = "broken"

    def __init__(self, error: AutoBotError, late: bool = False) -> None:
        self._error, self._late = error, late

    async def models(self) -> Sequence[ModelCard]:
        return [ModelCard("x", self.name, 0)]

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        if not self._late:
            raise self._error
        return Chat(Start(request.model, self.name, "CPU"), self._half(), AsyncExitStack())

    async def _half(self) -> AsyncGenerator[ChatEvent, None]:
        yield Delta("half ")
        raise self._error

    async def close(self) -> None:
        return None


def listed(
    engines: Sequence[ChatEngine], lists: Mapping[str, Sequence[str]], default: str | None = None
) -> ChatService:
    return ChatService(engines, lambda: default, FallbackEngine(engines, lists))


def service(error: AutoBotError, late: bool = False) -> ChatService:
    return listed([Broken(error, late), FakeEngine(["small"])], LIST, "assistant")


@pytest.mark.parametrize("model", ["assistant", "default"])
@pytest.mark.parametrize("error", [Unavailable("no power"), Busy("queue"), ModelNotFound("gone")])
async def test_next_place_answers_and_the_headers_say_why(model: str, error: AutoBotError) -> None:
    whole = await answer(service(error), ChatRequest(model, ASK, max_tokens=2))
    headers = serializers.headers(whole.start)
    assert headers["x-autobot-engine"] == "fake"
    assert headers["x-autobot-model"] == "small"
    assert headers["x-autobot-fallback"] == f"broken: {error.detail}"


async def test_wrong_request_is_wrong_everywhere() -> None:
    with pytest.raises(BadRequest, match="no"):
        await service(BadRequest("no")).chat(ChatRequest("assistant", ASK))


async def test_half_an_answer_is_never_finished_by_another_engine() -> None:
    chat = await service(Unavailable("cut"), late=True).chat(ChatRequest("assistant", ASK))
    assert await anext(chat) == Delta("half ")
    with pytest.raises(Unavailable, match="cut"):
        await anext(chat)


async def test_when_no_place_answers_every_reason_is_told() -> None:
    places = {"assistant": ["openvino/x", "broken/x"]}
    service = listed([Broken(Unavailable("no power"))], places)
    with pytest.raises(Unavailable, match=r"no engine 'openvino' that chats.*broken: no power"):
        await service.chat(ChatRequest("assistant", ASK))


async def test_without_a_list_nothing_falls_back() -> None:
    service = ChatService([Broken(Unavailable("no power")), FakeEngine(["x"])], lambda: None)
    with pytest.raises(Unavailable, match="no power"):
        await service.chat(ChatRequest("x", ASK))


async def test_declared_lists_are_models_and_say_that_they_are_lists() -> None:
    places = {"assistant": ["broken/x", "fake/small"], "small": ["fake/small"]}
    service = listed([FakeEngine(["small", "large"])], places, "assistant")
    models = [serializers.model(card, service.default) for card in await service.offered()]
    owners = {one.id: one.owned_by for one in models}
    assert owners == {
        "assistant": "fallback: broken/x, fake/small",
        "small": "fallback: fake/small",
        "large": "autobot",
    }
    assert len(models) == 3, "a list hides the model of its name"
    assert [one.id for one in models if one.default] == ["assistant"]
    for name in ("assistant", "default"):
        assert (await service.offer(name)).name == "assistant"
    assert (await service.offer("large")).engine == "fake"
    with pytest.raises(ModelNotFound):
        await service.offer("nobody")
    assert [card.name for card in await service.models()] == ["small", "large"], (
        "no engine has a list"
    )


async def test_the_first_of_two_engines_of_one_name_is_the_place() -> None:
    first, second = FakeEngine(["small"]), FakeEngine(["small"])
    chat = await FallbackEngine([first, second], {"a": ["fake/small"]}).chat(ChatRequest("a", ASK))
    assert chat.start.fallback is None
    assert (first.limiter.running, second.limiter.running) == (1, 0)
    await chat.aclose()


async def test_an_engine_made_of_lists_is_a_place_of_another_list() -> None:
    inner = FallbackEngine([Broken(Unavailable("no power")), FakeEngine(["small"])], LIST)
    outer = FallbackEngine([inner], {"a": ["fallback/assistant"]})
    chat = await outer.chat(ChatRequest("a", ASK))
    assert (chat.start.engine, chat.start.fallback) == ("fake", "broken: no power")
    await chat.aclose()


@pytest.mark.parametrize("name", ["list", "list:latest"])
async def test_a_name_that_only_lacks_or_has_the_tag_latest_is_the_lists(name: str) -> None:
    service = listed([FakeEngine(["list:latest"])], {"list": ["fake/list:latest"]})
    assert (await service.offer(name)).engine == "fallback"
    assert (await service.model(name)).engine == "fake", "its file is the engine's"
