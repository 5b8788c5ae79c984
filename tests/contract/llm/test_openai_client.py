"""The whole room over a real socket, asked by OpenAI's own client."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio

from autobot.errors import Unavailable
from deployments.llm.chat.api import chat_routes
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import Chat, ChatEvent, ChatRequest, Delta, ModelCard, Start
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.fake import FakeEngine
from deployments.llm.models.registry import ModelFile
from tests.contract.llm.conftest import CONTEXT, SMALL, until
from tests.contract.llm.served import key_of, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ASK: Any = [{"role": "user", "content": "Tell me a long story about the sea."}]


class BreakingEngine:
    """An engine that is lost after its second word."""

    name = "breaking"

    async def models(self) -> Sequence[ModelCard]:
        return [ModelCard("breaks", self.name, 0)]

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        return Chat(Start(request.model, self.name, "CPU"), self._words(), AsyncExitStack())

    async def _words(self) -> AsyncGenerator[ChatEvent, None]:
        yield Delta("one ")
        yield Delta("two ")
        raise Unavailable("the engine is gone")

    async def close(self) -> None:
        return None


@dataclass(frozen=True)
class Room:
    """The served room: llama.cpp with the smallest model, and a slow fake of two words a second."""

    url: str
    key: str
    npu_key: str
    slow: FakeEngine
    llamacpp: LlamaCppEngine

    def client(self, key: str | None = None) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=key or self.key, max_retries=0, timeout=60
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(
    small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Room, None]:
    files = [ModelFile(SMALL, small_model, CONTEXT)]
    log = tmp_path_factory.mktemp("engine") / "llama.cpp.log"
    llamacpp = LlamaCppEngine(lambda: files, log, slots=2, waiting=2, context=CONTEXT)
    slow = FakeEngine(["slow"], context=10_000, slots=1, waiting=1, token_s=0.5)
    service = ChatService([llamacpp, slow, BreakingEngine()], lambda: SMALL)
    (key, record), (npu_key, npu_record) = key_of("llm"), key_of("npu")
    async with served([chat_routes(service)], [record, npu_record]) as url:
        yield Room(url, key, npu_key, slow, llamacpp)
    await service.close()


async def test_models_are_listed_with_the_default_marked(room: Room) -> None:
    models = {model.id: model async for model in room.client().models.list()}
    assert set(models) == {SMALL, "slow", "breaks"}
    assert [name for name, m in models.items() if (m.model_extra or {})["default"]] == [SMALL]
    one = await room.client().models.retrieve("default")
    assert one.id == SMALL
    assert (one.model_extra or {})["engine"] == "llama.cpp"


async def test_whole_answer_equals_the_streamed_one_and_counts_agree(room: Room) -> None:
    options: Any = {"model": "default", "messages": ASK, "max_tokens": 24, "temperature": 0}
    whole = await room.client().chat.completions.create(**options)
    text, usage, fingerprint, reasons, roles = "", None, None, [], []
    stream = await room.client().chat.completions.create(
        **options, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            roles += [choice.delta.role] if choice.delta.role else []
            reasons += [choice.finish_reason] if choice.finish_reason else []
        usage, fingerprint = chunk.usage or usage, chunk.system_fingerprint
    assert text == whole.choices[0].message.content
    assert fingerprint
    assert fingerprint == whole.system_fingerprint
    assert text.strip()
    assert reasons == ["length"] == [whole.choices[0].finish_reason]
    assert roles == ["assistant"]
    assert whole.usage
    assert usage
    assert usage.completion_tokens == whole.usage.completion_tokens == 24
    assert usage.prompt_tokens == whole.usage.prompt_tokens > 5
    assert usage.total_tokens == usage.prompt_tokens + 24


async def test_answer_says_where_it_was_made(room: Room) -> None:
    raw = await room.client().chat.completions.with_raw_response.create(
        model="default", messages=ASK, max_tokens=1
    )
    assert raw.headers["x-autobot-room"] == "llm"
    assert raw.headers["x-autobot-engine"] == "llama.cpp"
    assert raw.headers["x-autobot-model"] == SMALL == raw.parse().model
    assert raw.headers["x-autobot-device"] == "CPU"


async def test_stream_is_openai_events_ending_in_done(room: Room) -> None:
    body = {"model": SMALL, "messages": ASK, "stream": True, "max_tokens": 3}
    async with httpx.AsyncClient(headers={"x-api-key": room.key}) as client:
        answer = await client.post(f"{room.url}/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks), "nobody asked for usage"


async def test_stop_sequences_and_text_parts_and_unknown_fields_are_understood(
    room: Room,
) -> None:
    answer = await room.client().chat.completions.create(
        model=SMALL,
        messages=[
            {"role": "developer", "content": "You repeat."},
            {"role": "user", "content": [{"type": "text", "text": "Count: 1, 2, 3, 4, 5"}]},
        ],
        stop=[",", "."],
        max_completion_tokens=40,
        extra_body={"a_field_of_next_year": {"x": 1}},
    )
    assert "," not in (answer.choices[0].message.content or "")


async def test_key_is_needed_and_must_have_the_scope(room: Room) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        await room.client("ab_nobody").models.list()
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.PermissionDeniedError):
        await room.client(room.npu_key).chat.completions.create(model=SMALL, messages=ASK)


async def test_unknown_model_is_404_and_names_those_there_are(room: Room) -> None:
    with pytest.raises(openai.NotFoundError, match=SMALL) as refused:
        await room.client().chat.completions.create(model="gpt-9", messages=ASK)
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
async def test_prompt_beyond_the_context_is_400_with_both_numbers(room: Room, stream: bool) -> None:
    long: Any = [{"role": "user", "content": "word " * 3000}]
    with pytest.raises(openai.BadRequestError, match=rf"3\d\d\d tokens.*{CONTEXT}") as refused:
        await room.client().chat.completions.create(model=SMALL, messages=long, stream=stream)
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", math.nan),
        ("temperature", 3),
        ("top_p", -0.1),
        ("max_tokens", 0),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", ""),
        ("messages", []),
        ("messages", [{"role": "robot", "content": "x"}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
        ("seed", 2**70),
        ("n", 9),
        ("n", 0),
        ("tools", [{"type": "function", "function": {"name": "no spaces"}}]),
        ("tools", [{"type": "retrieval"}]),
        ("tool_choice", "required"),
        ("response_format", {"type": "xml"}),
        ("response_format", {"type": "json_schema"}),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}},
        ),
        ("top_logprobs", 3),
        ("max_tokens", "many"),
        ("messages", "hello"),
        ("model", 7),
        ("stream_options", {"include_usage": True}),
    ],
)
async def test_value_that_cannot_be_honoured_is_refused_in_openais_shape(
    room: Room, field: str, value: object
) -> None:
    body = json.dumps({"model": SMALL, "messages": ASK, "max_tokens": 1} | {field: value})
    headers = {"authorization": f"Bearer {room.key}", "content-type": "application/json"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(f"{room.url}/v1/chat/completions", content=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert field in error["message"]


async def test_full_queue_is_429_with_retry_after(room: Room) -> None:
    async def hold() -> None:
        async for _ in await room.client().chat.completions.create(
            model="slow", messages=ASK, stream=True
        ):
            pass

    held = [asyncio.create_task(hold()) for _ in range(2)]
    await until(lambda: room.slow.limiter.running + room.slow.limiter.queued == 2)
    with pytest.raises(openai.RateLimitError) as refused:
        await room.client().chat.completions.create(model="slow", messages=ASK)
    assert int(refused.value.response.headers["retry-after"]) >= 1
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await until(lambda: room.slow.limiter.running == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_client_that_hangs_up_frees_its_slot_within_a_second(
    room: Room, stream: bool
) -> None:
    body = {"model": "slow", "messages": ASK, "stream": stream}
    headers = {"authorization": f"Bearer {room.key}"}
    for _ in range(5):
        async with httpx.AsyncClient(headers=headers) as client:
            sent = client.send(
                client.build_request("POST", f"{room.url}/v1/chat/completions", json=body),
                stream=True,
            )
            task = asyncio.create_task(sent)
            await until(lambda: room.slow.limiter.running == 1)
            if stream:
                answer = await task
                await anext(answer.aiter_raw())
                await answer.aclose()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await until(lambda: room.slow.limiter.running == 0, seconds=1.0)


async def test_error_after_the_first_word_reaches_the_client_as_an_error(room: Room) -> None:
    words: list[str] = []

    async def read() -> None:
        create = room.client().chat.completions.create
        async for chunk in await create(model="breaks", messages=ASK, stream=True):
            words.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="the engine is gone"):
        await read()
    assert words == ["", "one ", "two "]


async def test_error_before_the_end_of_a_whole_answer_has_its_own_status(room: Room) -> None:
    with pytest.raises(openai.InternalServerError, match="the engine is gone") as refused:
        await room.client().chat.completions.create(model="breaks", messages=ASK)
    assert refused.value.status_code == 503
