"""What clients and every documentation's curl really send: odd, and meant."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import ollama
import pytest
import pytest_asyncio

from deployments.llm.ollama_api.api import OllamaPaths
from deployments.llm.ollama_api.relay import forward_routes
from tests.contract.llm.in_process import KEY, room
from tests.contract.llm.served import served

SAID: Any = [{"role": "user", "content": "hello"}]
FORM = {"content-type": "application/x-www-form-urlencoded"}
CALL = {"function": {"name": "look", "arguments": {"far": None}}}


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient, None]:
    """The room's own port."""
    app = await room()
    app.add_middleware(OllamaPaths)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://room", headers=headers
    ) as made:
        yield made


@pytest.mark.parametrize("headers", [FORM, {"content-type": "text/plain"}, {}])
@pytest.mark.parametrize("below", ["/ollama/api", "/api"])
async def test_ollamas_body_is_json_whatever_its_type_says(
    client: httpx.AsyncClient, below: str, headers: dict[str, str]
) -> None:
    bodies: dict[str, Any] = {
        "chat": {"model": "fake", "messages": SAID, "stream": False},
        "generate": {"model": "fake", "prompt": "hello", "stream": False},
        "embed": {"model": "fake", "input": "hello"},
        "show": {"model": "seeing"},
    }
    for name, body in bodies.items():
        answer = await client.post(f"{below}/{name}", content=json.dumps(body), headers=headers)
        assert answer.status_code == 200, answer.text


async def test_ollama_is_running_without_a_key(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]
    for path in ("/", "/ollama", "/ollama/"):
        answer = await client.get(path)
        assert (answer.status_code, answer.text) == (200, "Ollama is running")
        assert (await client.head(path)).status_code == 200


async def test_ollama_is_running_at_the_ingress_too(client: httpx.AsyncClient) -> None:
    async with served([forward_routes(client)], []) as ingress, httpx.AsyncClient() as caller:
        for path in ("/ollama", "/ollama/"):
            answer = await caller.get(f"{ingress}{path}")
            assert (answer.status_code, answer.text) == (200, "Ollama is running")
            assert (await caller.head(f"{ingress}{path}")).status_code == 200


@pytest.mark.parametrize("name", ["fake:latest", "default:latest", "list:latest"])
async def test_name_with_the_tag_latest_is_the_model(client: httpx.AsyncClient, name: str) -> None:
    chat = {"model": name, "messages": SAID, "stream": False}
    answer = await client.post("/api/chat", json=chat)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "fake"
    if not name.startswith("list"):
        made = await client.post("/api/embed", json={"model": name, "input": "hello"})
        assert made.json()["embeddings"] == [[1.0]]
    assert (await client.get(f"/v1/models/{name}")).status_code == 200


async def test_name_with_another_tag_is_another_model(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/chat", json={"model": "fake:7b", "messages": SAID})
    assert answer.status_code == 404


async def test_any_number_of_stop_strings_ends_a_chat(client: httpx.AsyncClient) -> None:
    stops = [f"word {n}" for n in range(200)] + ["3 "]
    body = {"model": "fake", "messages": SAID, "stream": False, "options": {"stop": stops}}
    answer = await client.post("/api/chat", json=body)
    assert answer.json()["message"]["content"] == "1 2 "


async def test_null_is_as_good_as_absent(client: httpx.AsyncClient) -> None:
    options = dict.fromkeys(
        ["num_predict", "temperature", "top_p", "seed", "stop", "mirostat", "num_ctx", "num_gpu"]
    )
    said = [
        *SAID,
        {"role": "assistant", "content": None, "tool_calls": [CALL], "images": None},
        {"role": "tool", "content": "far", "tool_name": None, "tool_calls": None},
    ]
    nulls = dict.fromkeys(["format", "keep_alive", "think", "tools"])
    body = {"model": "fake", "messages": said, "options": options, "stream": False, **nulls}
    assert (await client.post("/api/chat", json=body)).status_code == 200
    body = {"model": "fake", "messages": SAID, "options": None, "stream": None}
    answer = await client.post("/api/chat", json=body)
    assert len(answer.text.splitlines()) > 1, "null streams, as absent does"
    more = dict.fromkeys(["system", "raw", "images", "suffix", "template", "context", "options"])
    body = {"model": "fake", "prompt": "hello", "stream": False, **more}
    assert (await client.post("/api/generate", json=body)).status_code == 200
    ours = dict.fromkeys(["stream", "tools", "stop", "n", "store", "modalities", "logit_bias"])
    body = {"model": "fake", "messages": SAID, **ours}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    ours = dict.fromkeys(["stream", "tools", "store", "text", "tool_choice", "reasoning"])
    body = {"model": "fake", "input": "hello", **ours}
    assert (await client.post("/v1/responses", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "cut"),
    [
        ({}, 200, "1"),
        ({"truncate": True}, 200, "1"),
        ({"truncate": None}, 200, "1"),
        ({"truncate": False}, 400, None),
        ({"input": ["short", "enough"]}, 200, "0"),
    ],
)
async def test_long_text_is_cut_unless_that_is_forbidden_and_the_header_says_how_many(
    client: httpx.AsyncClient, asked: dict[str, Any], status: int, cut: str | None
) -> None:
    body = {"model": "fake", "input": ["short", "one two three four five"], **asked}
    answer = await client.post("/api/embed", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers.get("x-autobot-cut") == cut


async def test_empty_text_is_embedded_as_nothing(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/embed", json={"model": "fake", "input": ""})
    assert (made.status_code, made.json()["embeddings"]) == (200, [])
    old = await client.post("/api/embeddings", json={"model": "fake", "prompt": ""})
    assert (old.status_code, old.json()) == (200, {"embedding": []})


async def test_ollamas_own_client_sees_no_difference(client: httpx.AsyncClient) -> None:
    asked = ollama.AsyncClient("http://room")
    asked._client = client  # pyright: ignore[reportPrivateUsage]
    made = await asked.embed("fake:latest", "one two three four five")
    assert made.embeddings == [[4.0]]
    said = await asked.chat("fake:latest", SAID, options={"stop": ["3 "] * 9, "top_p": None})
    assert said.message.content == "1 2 "


async def test_top_p_of_nought_is_a_value(client: httpx.AsyncClient) -> None:
    for path, body in {
        "/v1/chat/completions": {"messages": SAID, "top_p": 0},
        "/v1/completions": {"prompt": "hello", "top_p": 0},
        "/v1/responses": {"input": "hello", "top_p": 0},
        "/api/chat": {"messages": SAID, "options": {"top_p": 0}},
    }.items():
        answer = await client.post(path, json={"model": "fake", **body})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("stream", [False, True])
async def test_prompt_is_only_read_when_no_tokens_are_asked_for(
    client: httpx.AsyncClient, stream: bool
) -> None:
    body = {"model": "fake", "prompt": "one two", "max_tokens": 0, "echo": True, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    answer = await client.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    if not stream:
        chunks = [answer.json()]
    else:
        lines = [one for one in answer.text.splitlines() if one.startswith("data: {")]
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    said = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in said) == "one two"
    assert said[-1]["finish_reason"] == "length"
    assert chunks[-1]["usage"]["completion_tokens"] == 0
    assert chunks[-1]["usage"]["prompt_tokens"] == 2


async def test_refusal_in_a_history_is_what_the_assistant_said(client: httpx.AsyncClient) -> None:
    part = {"type": "refusal", "refusal": "I will not do that."}
    histories: dict[str, Any] = {
        "/v1/chat/completions": {"messages": [*SAID, {"role": "assistant", "content": [part]}]},
        "/v1/responses": {"input": [*SAID, {"role": "assistant", "content": [part]}]},
    }
    longer = {**part, "refusal": "word " * 100}
    for path, body in histories.items():
        answer = await client.post(path, json={"model": "fake", **body})
        assert answer.status_code == 200, answer.text
        part.update(longer)
        answer = await client.post(path, json={"model": "fake", **body})
        assert "context" in answer.json()["error"]["message"], "its words are counted"
        part["refusal"] = "I will not do that."
    said = {"role": "assistant", "content": None, "refusal": longer["refusal"]}
    body = {"model": "fake", "messages": [*SAID, said]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert "context" in answer.json()["error"]["message"]
