"""What goes to an Ollama server and what is made of its answers."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from autobot.errors import ContextLengthExceeded, ModelNotFound, Unavailable
from deployments.llm.engine import ChatEvent, ChatMessage, ChatRequest, Delta, Finish, Start
from deployments.llm.engines.ollama import driver
from deployments.llm.engines.ollama.driver import OllamaEngine
from deployments.llm.ollama_api import serializers


def tags(digest: str) -> dict[str, Any]:
    model = {"model": "toy:latest", "modified_at": "2026-01-02T03:04:05Z", "digest": digest}
    return {"models": [model]}


PS = {"models": [{"model": "toy:latest", "size": 100, "size_vram": 0}]}
SHOW: dict[str, Any] = {"model_info": {"toy.context_length": 4096}}
PARTS: list[dict[str, Any]] = [
    {"message": {"role": "assistant", "content": "Hel"}, "done": False},
    {"message": {"role": "assistant", "content": "lo"}, "done": False},
    {
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "length",
        "prompt_eval_count": 11,
        "eval_count": 2,
    },
]


class Server:
    """Answers like a server of `version`; remembers the chats it was asked for."""

    def __init__(self, version: str = "0.12.6", ps: dict[str, Any] = PS) -> None:
        self.chats: list[dict[str, Any]] = []
        self.version, self.ps = version, ps
        self.tags, self.show = tags("sha256:1"), SHOW
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(
            200, text="\n".join(json.dumps(part) for part in PARTS)
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/chat":
            self.chats.append(json.loads(request.content))
            return self.answer()
        fixed: dict[str, Any] = {
            "/api/version": {"version": self.version},
            "/api/tags": self.tags,
            "/api/ps": self.ps,
            "/api/show": self.show,
        }
        return httpx.Response(200, json=fixed[request.url.path])

    def engine(self) -> OllamaEngine:
        return OllamaEngine("http://ollama.test", transport=httpx.MockTransport(self))


def ask(**values: Any) -> ChatRequest:
    return ChatRequest("toy:latest", (ChatMessage("user", "hi"),), **values)


async def run(engine: OllamaEngine, request: ChatRequest) -> tuple[Start, list[ChatEvent]]:
    chat = await engine.chat(request)
    return chat.start, [event async for event in chat]


async def test_answer_becomes_events_with_the_servers_own_counts() -> None:
    start, events = await run(Server().engine(), ask())
    assert start == Start("toy:latest", "ollama", "CPU")
    assert events == [Delta("Hel"), Delta("lo"), Finish("length", 11, 2)]


async def test_chat_forbids_truncating_and_shifting_and_carries_every_option() -> None:
    server = Server()
    request = ask(max_tokens=5, temperature=0.5, top_p=0.9, seed=2**40 + 7, stop=("x",))
    await run(server.engine(), request)
    sent = server.chats[0]
    assert (sent["truncate"], sent["shift"], sent["stream"]) == (False, False, True)
    assert sent["messages"] == [{"role": "user", "content": "hi"}]
    assert sent["options"] == {
        "num_ctx": 4096,
        "num_predict": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": (2**40 + 7) % 2**31,
        "stop": ["x"],
    }


@pytest.mark.parametrize(("vram", "device"), [(0, "CPU"), (40, "CPU+GPU"), (100, "GPU")])
async def test_device_is_what_the_server_reports(vram: int, device: str) -> None:
    ps = {"models": [{"model": "toy:latest", "size": 100, "size_vram": vram}]}
    start, _ = await run(Server(ps=ps).engine(), ask())
    assert start.device == device


async def test_server_too_old_to_refuse_a_long_prompt_is_not_used() -> None:
    engine = Server(version="0.5.1").engine()
    assert await engine.models() == []
    assert engine.reason
    assert "0.12.6" in engine.reason
    with pytest.raises(ModelNotFound, match="cuts long prompts"):
        await run(engine, ask())


async def test_server_that_is_away_has_no_models_and_says_why() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    engine = OllamaEngine("http://ollama.test", transport=httpx.MockTransport(refuse))
    assert await engine.models() == []
    assert engine.reason
    assert "http://ollama.test" in engine.reason


async def test_refusal_of_a_long_prompt_becomes_context_length_exceeded() -> None:
    server = Server()
    said = {"error": "the input length exceeds the context length"}
    server.answer = lambda: httpx.Response(400, json=said)
    with pytest.raises(ContextLengthExceeded, match=r"2 characters.*4096 tokens"):
        await server.engine().chat(ask())


async def test_error_in_the_middle_of_an_answer_is_an_error_not_an_end() -> None:
    server = Server()
    lines = [json.dumps(PARTS[0]), json.dumps({"error": "runner stopped"})]
    server.answer = lambda: httpx.Response(200, text="\n".join(lines))
    with pytest.raises(Unavailable, match="runner stopped"):
        await run(server.engine(), ask())


async def test_answer_without_an_end_is_an_error() -> None:
    server = Server()
    server.answer = lambda: httpx.Response(200, text=json.dumps(PARTS[0]))
    with pytest.raises(Unavailable, match="before it was complete"):
        await run(server.engine(), ask())


async def test_why_a_server_is_away_says_no_password_of_its_address() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    engine = OllamaEngine("http://me:hidden@ollama.test:1", transport=httpx.MockTransport(away))
    assert await engine.models() == []
    assert (engine.reason or "").startswith("no Ollama server at http://ollama.test:1: ")
    assert "hidden" not in (engine.reason or "")


async def test_a_model_that_was_pulled_again_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver, "KNOWN_FOR_S", 0.0)
    server = Server()
    engine = server.engine()

    async def asked_for() -> tuple[int, bool]:
        await run(engine, ask())
        (card,) = await engine.models()
        return server.chats[-1]["options"]["num_ctx"], card.vision

    server.tags = tags("sha256:old")
    assert await asked_for() == (4096, False)
    server.show = {"model_info": {"toy.context_length": 2048}, "capabilities": ["vision"]}
    assert await asked_for() == (4096, False), "the digest is the same"
    server.tags = tags("sha256:new")
    (card,) = await engine.models()
    assert (card.context, card.vision) == (None, False), "nothing is known of it yet"
    assert await asked_for() == (2048, True)


async def test_running_models_have_the_servers_own_sizes() -> None:
    ps = {"models": [{"model": "toy:latest", "size": 100, "size_vram": 40}]}
    (card,) = await Server(ps=ps).engine().running()
    assert (card.size, card.vram) == (100, 40)
    assert serializers.running(card)["size_vram"] == 40
