"""The whole room asked by Ollama's own client: llama.cpp and a real Ollama server behind it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
import pytest_asyncio

from autobot.contracts.embeddings import FakeEmbeddings
from autobot.contracts.responses import FakeResponses
from autobot.keys import KeyRecord
from autobot.settings import Settings
from deployments.llm.api import room_routes
from deployments.llm.ollama_api.relay import forward_routes
from deployments.llm.room import ChatRoom
from tests.contract.llm.conftest import SMALL, imported, until
from tests.contract.llm.served import key_of, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SEA: Any = [{"role": "user", "content": "Tell me a long story about the sea."}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"wet": {"type": "boolean"}},
    "required": ["wet"],
    "additionalProperties": False,
}
TOOL: Any = {
    "type": "function",
    "function": {"name": "look", "description": "Look at the sea.", "parameters": SCHEMA},
}


@dataclass(frozen=True)
class Served:
    url: str
    key: str
    admin: str
    room: ChatRoom
    records: list[KeyRecord]

    def client(self, below: str = "/ollama", key: str | None = None) -> ollama.AsyncClient:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return ollama.AsyncClient(f"{self.url}{below}", headers=headers, timeout=60)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(
    small_model: Path, ollama_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Served, None]:
    values = {
        "home": tmp_path_factory.mktemp("home"),
        "cache": small_model.parents[2],
        "default_chat_model": SMALL,
        "ollama_url": ollama_url,
    }
    chats = ChatRoom(
        Settings.model_validate(values), FakeEmbeddings("toy-embedder", 20), FakeResponses(())
    )
    (key, record), (admin, admin_record) = key_of("llm"), key_of("admin")
    async with (
        imported(ollama_url, small_model),
        served([room_routes(chats)], [record, admin_record]) as url,
    ):
        yield Served(url, key, admin, chats, [record, admin_record])
        await chats.service.close()


@pytest.fixture(params=["llama.cpp", "ollama"])
def model(request: pytest.FixtureRequest) -> str:
    return SMALL if request.param == "llama.cpp" else "autobot-contract"


async def test_tags_lists_the_models_of_both_engines(room: Served) -> None:
    listed = {m.model: m for m in (await room.client().list()).models}
    assert {SMALL, "autobot-contract:latest"} <= set(listed)
    assert listed[SMALL].size == 98_362_432
    assert listed[SMALL].digest


async def test_version_is_the_level_of_the_api(room: Served) -> None:
    headers = {"authorization": f"Bearer {room.key}"}
    async with httpx.AsyncClient(headers=headers) as client:
        for below in ("/ollama/api", "/api"):
            answer = await client.get(f"{room.url}{below}/version")
            assert answer.json()["version"] == "0.12.6"


async def test_chat_streams_and_ends_with_counts(room: Served, model: str) -> None:
    options = {"num_predict": 12, "temperature": 0, "num_ctx": 131072}
    for below in ("/ollama", ""):
        client = room.client(below)
        stream = await client.chat(model, SEA, stream=True, options=options)
        parts = [part async for part in stream]
        assert len(parts) > 4
        assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
        last = parts[-1]
        assert (last.done_reason, last.eval_count) == ("length", 12)
        assert (last.prompt_eval_count or 0) > 5
        assert (last.total_duration or 0) >= (last.eval_duration or 0) > 0
        whole = await client.chat(model, SEA, options=options)
        assert whole.message.content == "".join(part.message.content or "" for part in parts)


async def test_generate_with_system_and_raw(room: Served, model: str) -> None:
    told = await room.client().generate(
        model, "Hi", system="Be short.", options={"num_predict": 3}, keep_alive="5m"
    )
    assert told.response
    raw = await room.client().generate(model, "one two", raw=True, options={"num_predict": 3})
    assert (raw.prompt_eval_count or 99) < (told.prompt_eval_count or 0)


async def test_format_makes_json_of_the_schema(room: Served, model: str) -> None:
    answer = await room.client().chat(model, SEA, format=SCHEMA)
    assert set(json.loads(answer.message.content or "")) == {"wet"}


async def test_tool_calls_are_calls_or_text(room: Served, model: str) -> None:
    answer = await room.client().chat(
        model, SEA, tools=[TOOL], options={"num_predict": 40, "temperature": 0}
    )
    for call in answer.message.tool_calls or []:
        assert call.function.name == "look"
        assert set(call.function.arguments) == {"wet"}
    assert bool(answer.message.tool_calls) != bool(answer.message.content)


async def test_answer_says_where_it_was_made(room: Served) -> None:
    headers = {"authorization": f"Bearer {room.key}"}
    body = {"model": SMALL, "messages": SEA, "stream": False, "options": {"num_predict": 1}}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(f"{room.url}/ollama/api/chat", json=body)
    assert answer.headers["x-autobot-engine"] == "llama.cpp"
    assert answer.headers["x-autobot-device"] == "CPU"
    assert answer.headers["x-autobot-room"] == "llm"


async def test_show_and_ps_describe_the_model(room: Served, model: str) -> None:
    await room.client().chat(model, SEA, options={"num_predict": 1}, keep_alive="7m")
    shown = await room.client().show(model)
    assert {"completion", "tools"} <= set(shown.capabilities or [])
    held = {m.model: m for m in (await room.client().ps()).models}
    name = next(name for name in held if name and name.startswith(model))
    assert (held[name].context_length or 0) >= 512


async def test_keep_alive_zero_unloads(room: Served) -> None:
    client = room.client()
    await client.generate("autobot-contract", keep_alive="5m")
    await client.generate("autobot-contract", keep_alive=0)

    for _ in range(50):
        if "autobot-contract:latest" not in [m.model for m in (await client.ps()).models]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("still loaded")


async def test_too_long_a_prompt_is_refused_with_the_context(room: Served, model: str) -> None:
    with pytest.raises(ollama.ResponseError, match=r"8192 tokens") as refused:
        await room.client().generate(model, "word " * 9000)
    assert refused.value.status_code == 400


async def test_unknown_model_is_404_in_ollamas_shape(room: Served) -> None:
    for below in ("/ollama", ""):
        with pytest.raises(ollama.ResponseError, match="no model 'gpt-9'") as refused:
            await room.client(below).chat("gpt-9", SEA)
        assert refused.value.status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("options", {"temperature": "warm"}),
        ("options", {"mirostat": 1}),
        ("options", {"seed": 2**80}),
        ("format", {"type": 5}),
        ("keep_alive", "soon"),
        ("messages", [{"role": "user", "content": "x", "images": ["no picture"]}]),
        ("messages", [{"role": "robot", "content": "x"}]),
        ("tools", [{"type": "function", "function": {"name": "a b"}}]),
    ],
)
async def test_wrong_value_is_400_in_ollamas_shape(room: Served, field: str, value: object) -> None:
    headers = {"authorization": f"Bearer {room.key}"}
    body = {"model": SMALL, "messages": SEA, "options": {"num_predict": 1}} | {field: value}
    async with httpx.AsyncClient(headers=headers) as client:
        for below in ("/ollama/api", "/api"):
            answer = await client.post(f"{room.url}{below}/chat", json=body)
            assert answer.status_code == 400, answer.text
            assert set(answer.json()) == {"error"}


async def test_embed_is_room_npus_and_says_so(room: Served) -> None:
    made = await room.client().embed("default", ["a", "b"])
    assert made.model == "toy-embedder"
    assert [list(vector) for vector in made.embeddings] == [[1.0], [1.0]]
    old = await room.client().embeddings("default", "a")
    assert list(old.embedding) == [1.0]
    with pytest.raises(ollama.ResponseError, match="more than 20"):
        await room.client().embed("default", "a " * 21, truncate=False)


async def test_pull_of_a_model_that_is_here_is_a_success(room: Served) -> None:
    client = room.client(key=room.admin)
    steps = [step async for step in await client.pull(SMALL, stream=True)]
    assert steps[-1].status == "success"
    assert (await client.pull(SMALL)).status == "success"
    with pytest.raises(ollama.ResponseError, match="admin"):
        await room.client().pull(SMALL)


async def test_delete_needs_admin_and_a_model(room: Served) -> None:
    with pytest.raises(ollama.ResponseError, match="admin"):
        await room.client().delete("autobot-contract")
    with pytest.raises(ollama.ResponseError, match="no model") as refused:
        await room.client(key=room.admin).delete("gpt-9")
    assert refused.value.status_code == 404


async def test_ingress_passes_ollama_on_and_a_hang_up_too(room: Served) -> None:
    headers = {"Authorization": f"Bearer {room.key}"}
    async with (
        httpx.AsyncClient(base_url=room.url) as onward,
        served([forward_routes(onward)], room.records) as ingress,
        httpx.AsyncClient(headers=headers) as raw,
    ):
        client = ollama.AsyncClient(f"{ingress}/ollama", headers=headers)
        stream = await client.chat(SMALL, SEA, stream=True, options={"num_predict": 5})
        parts = [part async for part in stream]
        assert parts[-1].eval_count == 5
        with pytest.raises(ollama.ResponseError, match="gpt-9"):
            await client.chat("gpt-9", SEA)
        body = {"model": SMALL, "messages": SEA}
        async with raw.stream("POST", f"{ingress}/ollama/api/chat", json=body) as answer:
            await anext(answer.aiter_raw())
            assert room.room.llamacpp.limiter.running == 1
        await until(lambda: room.room.llamacpp.limiter.running == 0, seconds=1.0)
        with pytest.raises(ollama.ResponseError, match="API key"):
            await ollama.AsyncClient(f"{ingress}/ollama").list()


async def test_ingress_says_when_the_room_is_away() -> None:
    key, record = key_of("llm")
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(base_url="http://127.0.0.1:9") as onward,
        served([forward_routes(onward)], [record]) as ingress,
    ):
        answer = await onward.get(f"{ingress}/ollama/api/tags", headers=headers)
    assert answer.status_code == 503
    assert set(answer.json()) == {"error"}
    assert answer.headers["retry-after"]
