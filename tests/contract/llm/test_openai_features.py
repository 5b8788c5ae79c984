"""What OpenAI's own client can ask for beyond plain chats, on llama.cpp and a real Ollama."""

import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import openai
import pytest
import pytest_asyncio

from autobot.contracts.embeddings import FakeEmbeddings
from autobot.contracts.responses import FakeResponses
from autobot.errors import ContextLengthExceeded
from autobot.settings import Settings
from deployments.llm.api import room_routes
from deployments.llm.engine import ChatMessage, ChatRequest
from deployments.llm.room import ChatRoom
from tests.contract.llm.conftest import SMALL, imported
from tests.contract.llm.served import key_of, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SEA: Any = [{"role": "user", "content": "Tell me a long story about the sea."}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"wet": {"type": "boolean"}, "colour": {"enum": ["blue", "grey"]}},
    "required": ["wet", "colour"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "look", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "sail", "parameters": {"properties": {}}}},
]
PICTURE = "data:image/png;base64,iVBORw0KGgo="


@dataclass(frozen=True)
class Served:
    url: str
    key: str
    other_key: str
    room: ChatRoom

    def client(self, key: str | None = None) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=key or self.key, max_retries=0, timeout=60
        )


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
    (key, record), (other, other_record) = key_of("llm"), key_of("llm")
    kept = FakeResponses({record.id, other_record.id})
    chats = ChatRoom(Settings.model_validate(values), FakeEmbeddings(), kept)
    async with (
        imported(ollama_url, small_model),
        served([room_routes(chats)], [record, other_record]) as url,
    ):
        yield Served(url, key, other, chats)
        await chats.close()


@pytest.fixture(params=["llama.cpp", "ollama"])
def model(request: pytest.FixtureRequest) -> str:
    return SMALL if request.param == "llama.cpp" else "autobot-contract"


async def test_n_choices_of_one_prompt_whole_and_streamed(room: Served, model: str) -> None:
    create = room.client().chat.completions.create
    options: Any = {"model": model, "messages": SEA, "max_tokens": 6, "n": 3, "seed": 5}
    whole = await create(**options)
    texts = [choice.message.content for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len(set(texts)) > 1
    assert whole.usage
    assert whole.usage.completion_tokens == 18
    said = dict.fromkeys(range(3), "")
    streamed = await create(**options, stream=True, stream_options={"include_usage": True})
    usage = None
    async for chunk in streamed:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert list(said.values()) == texts
    assert usage
    assert usage.completion_tokens == 18
    assert usage.prompt_tokens == whole.usage.prompt_tokens


async def test_json_schema_and_json_object_are_decoded_under(room: Served, model: str) -> None:
    create = room.client().chat.completions.create
    form: Any = {"type": "json_schema", "json_schema": {"name": "sea", "schema": SCHEMA}}
    answer = await create(model=model, messages=SEA, response_format=form)
    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), SCHEMA)
    loose = await create(
        model=model, messages=SEA, response_format={"type": "json_object"}, max_tokens=40
    )
    assert (loose.choices[0].message.content or "").lstrip().startswith("{")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
async def test_forced_tool_is_called_with_valid_arguments(
    room: Served, model: str, choice: Any
) -> None:
    create = room.client().chat.completions.create
    answer = await create(model=model, messages=SEA, tools=TOOLS, tool_choice=choice)
    said = answer.choices[0]
    assert said.finish_reason == "tool_calls"
    assert said.message.content is None
    for call in said.message.tool_calls or []:
        assert call.type == "function"
        if call.function.name == "look":
            jsonschema.validate(json.loads(call.function.arguments), SCHEMA)
        else:
            assert choice == "required"


async def test_parallel_calls_are_a_list_and_each_is_valid(room: Served, model: str) -> None:
    answer = await room.client().chat.completions.create(
        model=model,
        messages=SEA,
        tools=TOOLS[:1],
        tool_choice="required",
        parallel_tool_calls=True,
        max_tokens=300,
        temperature=0,
    )
    said = answer.choices[0]
    for call in said.message.tool_calls or []:
        assert call.type == "function"
        jsonschema.validate(json.loads(call.function.arguments), SCHEMA)
    assert said.message.tool_calls or said.finish_reason == "length"


async def test_streamed_call_comes_whole_in_one_delta(room: Served, model: str) -> None:
    stream = await room.client().chat.completions.create(
        model=model, messages=SEA, tools=TOOLS[:1], tool_choice="required", stream=True
    )
    text, calls, reasons = "", [], []
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            calls += choice.delta.tool_calls or []
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert (text, reasons) == ("", ["tool_calls"])
    (call,) = calls
    assert call.function
    assert call.id
    jsonschema.validate(json.loads(call.function.arguments or ""), SCHEMA)


async def test_result_of_a_call_is_understood(room: Served, model: str) -> None:
    function = {"name": "look", "arguments": '{"wet": true, "colour": "blue"}'}
    said: Any = [
        *SEA,
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "It is calm."},
    ]
    answer = await room.client().chat.completions.create(
        model=model, messages=said, tools=TOOLS, tool_choice="none", max_tokens=8
    )
    assert answer.choices[0].message.content


async def test_log_probabilities_or_a_clear_no(room: Served, model: str) -> None:
    create = room.client().chat.completions.create
    options: Any = {"model": model, "messages": SEA, "max_tokens": 4, "temperature": 0}
    if model != SMALL:
        with pytest.raises(openai.BadRequestError, match="log-probabilities"):
            await create(**options, logprobs=True)
        return
    answer = await create(**options, logprobs=True, top_logprobs=2)
    said = answer.choices[0].logprobs
    assert said
    assert said.content
    assert len(said.content) == 4
    for token in said.content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 2
        assert bytes(token.bytes or []).decode() == token.token
    text = "".join(token.token for token in said.content)
    assert text == answer.choices[0].message.content


async def test_picture_for_a_model_that_cannot_see_is_a_clear_no(room: Served, model: str) -> None:
    part = {"type": "image_url", "image_url": {"url": PICTURE}}
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]
    with pytest.raises(openai.BadRequestError, match="cannot see"):
        await room.client().chat.completions.create(model=model, messages=messages)
    part["image_url"]["url"] = "http://169.254.169.254/picture.png"
    with pytest.raises(openai.BadRequestError, match="only data:image"):
        await room.client().chat.completions.create(model=model, messages=messages)


async def test_completions_continue_raw_text(room: Served, model: str) -> None:
    create = room.client().completions.create
    options: Any = {"model": model, "prompt": "one two three", "max_tokens": 5, "temperature": 0}
    whole = await create(**options, echo=True)
    assert whole.choices[0].text.startswith("one two three")
    assert whole.usage
    assert whole.usage.completion_tokens == 5
    stream = await create(**options, stream=True)
    text = "".join([c.text async for chunk in stream for c in chunk.choices])
    assert whole.choices[0].text == f"one two three{text}"
    many = await create(**options | {"prompt": ["one two", "red green"]}, n=2)
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
    assert many.usage
    assert many.usage.completion_tokens == 20


async def test_completions_give_log_probabilities_in_their_own_shape(room: Served) -> None:
    answer = await room.client().completions.create(
        model=SMALL, prompt="one two", max_tokens=3, logprobs=2, temperature=0
    )
    said = answer.choices[0].logprobs
    assert said
    assert said.tokens
    assert "".join(said.tokens) == answer.choices[0].text
    assert said.text_offset
    assert said.text_offset[0] == 0
    assert len(said.token_logprobs or []) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt", [1, 2]), ("prompt", ""), ("best_of", 3), ("suffix", "x"), ("n", 9)],
)
async def test_completion_that_cannot_be_honoured_is_400(
    room: Served, field: str, value: object
) -> None:
    headers = {"authorization": f"Bearer {room.key}"}
    body = {"model": SMALL, "prompt": "x", "max_tokens": 1} | {field: value}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(f"{room.url}/v1/completions", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_stored_response_is_continued_and_deleted(room: Served, model: str) -> None:
    client = room.client()
    first = await client.responses.create(
        model=model, input="The word is lighthouse.", max_output_tokens=8, metadata={"a": "b"}
    )
    assert first.output_text
    assert first.usage
    assert (await client.responses.retrieve(first.id)).output_text == first.output_text
    second = await client.responses.create(
        model=model, input="And now?", previous_response_id=first.id, max_output_tokens=4
    )
    assert second.usage
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    items = [item async for item in client.responses.input_items.list(second.id)]
    assert len(items) == 3
    with pytest.raises(openai.NotFoundError):
        await room.client(room.other_key).responses.retrieve(first.id)
    await client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match=first.id):
        await client.responses.retrieve(first.id)


async def test_response_that_is_not_stored_is_not_there(room: Served) -> None:
    client = room.client()
    made = await client.responses.create(model=SMALL, input="x", max_output_tokens=2, store=False)
    assert made.status == "incomplete"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)


async def test_streamed_response_tells_every_step(room: Served, model: str) -> None:
    client = room.client()
    stream = await client.responses.create(
        model=model, input="Tell me of the sea.", max_output_tokens=5, stream=True
    )
    events = [event async for event in stream]
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.output_text == text
    assert (await client.responses.retrieve(last.response.id)).output_text == text


async def test_response_calls_a_tool_and_takes_its_result(room: Served, model: str) -> None:
    client = room.client()
    tool: Any = {"type": "function", "name": "look", "parameters": SCHEMA, "strict": True}
    options: Any = {"model": model, "tools": [tool]}
    async with client.responses.stream(
        input="How is the sea?", tool_choice="required", **options
    ) as stream:
        made = await stream.get_final_response()
    (call,) = made.output
    assert call.type == "function_call"
    jsonschema.validate(json.loads(call.arguments), SCHEMA)
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "calm"}
    said = await client.responses.create(
        input=[result],
        previous_response_id=made.id,
        tool_choice="none",
        max_output_tokens=6,
        **options,
    )
    assert said.output_text


async def test_long_conversation_is_refused_or_trimmed_only_when_asked(room: Served) -> None:
    client = room.client()
    long = {"role": "user", "content": "word " * 9000}
    said: Any = [long, long, {"role": "user", "content": "x"}]
    with pytest.raises(openai.BadRequestError, match=r"tokens.*8192"):
        await client.responses.create(model=SMALL, input=said, max_output_tokens=1)
    raw = await client.responses.with_raw_response.create(
        model=SMALL, input=said, max_output_tokens=1, truncation="auto"
    )
    assert raw.headers["x-autobot-dropped"] == "2"
    assert (raw.parse().model_extra or {})["autobot"] == {"dropped_messages": 2}


async def test_ten_megabytes_are_refused_before_they_are_read_and_in_the_engine(
    room: Served,
) -> None:
    long: Any = [{"role": "user", "content": "word " * 2_000_000}]
    with pytest.raises(openai.APIStatusError) as refused:
        await room.client().chat.completions.create(model=SMALL, messages=long)
    assert refused.value.status_code == 413
    began = time.monotonic()
    request = ChatRequest(SMALL, (ChatMessage("user", "word " * 2_000_000),))
    with pytest.raises(ContextLengthExceeded, match="8192"):
        await room.room.service.chat(request)
    assert time.monotonic() - began < 30
    assert room.room.llamacpp.limiter.running == 0
