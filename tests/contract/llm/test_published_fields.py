"""Every field OpenAI and Ollama publish: honoured, refused by name, or listed as harmless.

The lists are those of their own clients: a new release of one with a new field fails here.
"""

import typing
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx
import ollama._types as published
import pytest
import pytest_asyncio
from openai.types.chat import completion_create_params as chat
from openai.types.completion_create_params import CompletionCreateParamsBase
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from pydantic import BaseModel

from deployments.llm.chat import schemas
from deployments.llm.chat.limits import HARMLESS, NotOffered
from deployments.llm.completions import schemas as schemas_completions
from deployments.llm.ollama_api import schemas as schemas_ollama
from deployments.llm.responses import schemas as schemas_responses
from deployments.npu.embeddings.schemas import EmbeddingRequest
from tests.contract.llm.in_process import KEPT, KEY, room

SAID: Any = [{"role": "user", "content": "hello"}]
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
FUNCTION: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}}

Api = tuple[str, type[BaseModel], Mapping[str, Any]]
CHAT: Api = (
    "/v1/chat/completions",
    schemas.ChatCompletionRequest,
    {"model": "fake", "messages": SAID, "max_tokens": 1},
)
COMPLETIONS: Api = (
    "/v1/completions",
    schemas_completions.CompletionRequest,
    {"model": "fake", "prompt": "hello", "max_tokens": 1},
)
RESPONSES: Api = (
    "/v1/responses",
    schemas_responses.ResponseRequest,
    {"model": "fake", "input": "hello", "max_output_tokens": 1},
)
OLLAMA_CHAT: Api = (
    "/ollama/api/chat",
    schemas_ollama.OllamaChatRequest,
    {"model": "fake", "messages": SAID, "stream": False, "options": {"num_predict": 1}},
)
GENERATE: Api = (
    "/ollama/api/generate",
    schemas_ollama.GenerateRequest,
    {"model": "fake", "prompt": "hello", "stream": False, "options": {"num_predict": 1}},
)
EMBED: Api = ("/ollama/api/embed", schemas_ollama.EmbedRequest, {"model": "fake", "input": "a"})
PUBLISHED: list[tuple[Api, set[str]]] = [
    (CHAT, set(typing.get_type_hints(chat.CompletionCreateParamsBase)) | {"stream"}),
    (COMPLETIONS, set(typing.get_type_hints(CompletionCreateParamsBase)) | {"stream"}),
    (RESPONSES, set(typing.get_type_hints(ResponseCreateParamsBase)) | {"stream"}),
    (OLLAMA_CHAT, set(published.ChatRequest.model_fields)),
    (GENERATE, set(published.GenerateRequest.model_fields)),
    (EMBED, set(published.EmbedRequest.model_fields)),
]
HONOURED: dict[str, Any] = {
    "frequency_penalty": 0.5, "presence_penalty": 0.5, "logit_bias": {"5": -100},
    "max_completion_tokens": 2, "max_tokens": 2, "max_output_tokens": 2, "n": 2, "seed": 7,
    "parallel_tool_calls": False, "response_format": {"type": "json_object"}, "stop": ["x"],
    "stream": True, "temperature": 0.5, "top_p": 0, "logprobs": 1, "echo": True,
    "instructions": "Be short.", "previous_response_id": KEPT, "store": False,
    "truncation": "auto", "text": {"format": {"type": "json_object"}}, "tool_choice": "auto",
    "include": ["reasoning.encrypted_content"], "reasoning": {"effort": None, "summary": "auto"},
    "format": "json", "keep_alive": "5m", "raw": True, "system": "Be short.", "dimensions": None,
    "truncate": False, "input": "other", "prompt": "other", "messages": SAID, "model": "default",
    "options": {"seed": 7}, "images": None, "max_tool_calls": 3,
    "user": "me",
}  # fmt: skip
"""A value of each that is honoured, where the field itself is not special to one API."""
SPECIAL: dict[tuple[str, str], tuple[Any, dict[str, Any]]] = {
    ("/v1/chat/completions", "logprobs"): (True, {}),
    ("/v1/chat/completions", "top_logprobs"): (2, {"logprobs": True}),
    ("/v1/chat/completions", "tools"): ([TOOL], {}),
    ("/v1/chat/completions", "stream_options"): ({"include_usage": True}, {"stream": True}),
    ("/v1/completions", "stream_options"): ({"include_usage": True}, {"stream": True}),
    ("/v1/responses", "stream_options"): ({"include_obfuscation": False}, {"stream": True}),
    ("/v1/responses", "tools"): ([FUNCTION], {}),
    ("/ollama/api/chat", "tools"): ([TOOL], {}),
    ("/v1/responses", "metadata"): ({"a": "b"}, {}),
}
REFUSED: dict[str, Any] = {
    "functions": [{"name": "look", "parameters": {}}], "function_call": {"name": "look"},
    "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"},
    "web_search_options": {}, "moderation": {"model": "omni"}, "reasoning_effort": "high",
    "verbosity": "low", "store": True, "best_of": 2, "suffix": "x", "background": True,
    "background_options": {"completion_window": "2h"}, "conversation": "conv_1",
    "context_management": [{"type": "compaction"}], "prompt": {"id": "pmpt_1"}, "image": {"x": 1},
    "access_programs": ["x"], "top_logprobs": 2, "think": True, "logprobs": True,
    "template": "{{ .Prompt }}", "context": [1, 2], "width": 64, "height": 64, "steps": 4,
    "mirostat": 1, "typical_p": 0.5, "tfs_z": 0.5,
}  # fmt: skip


def named(api: Api, name: str) -> NotOffered | None:
    field = api[1].model_fields.get(name)
    return next((m for m in field.metadata if isinstance(m, NotOffered)), None) if field else None


WALKED = [
    pytest.param(api, name, id=f"{api[0]} {name}")
    for api, names in PUBLISHED
    for name in sorted(names)
]


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(await room())
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://room", headers=headers
    ) as made:
        yield made


def told(answer: httpx.Response) -> tuple[str, str | None]:
    """What an error says, and the field it names."""
    error = answer.json()["error"]
    return (error, None) if isinstance(error, str) else (error["message"], error["param"])


@pytest.mark.parametrize(("api", "name"), WALKED)
async def test_published_field_is_honoured_refused_by_name_or_harmless(
    client: httpx.AsyncClient, api: Api, name: str
) -> None:
    path, model, right = api
    if named(api, name):
        answer = await client.post(path, json={**right, name: REFUSED[name]})
        assert answer.status_code == 400, answer.text
        message, param = told(answer)
        assert name in message
        assert "not offered" in message
        assert param in (name, None)
        if path.startswith("/v1/"):
            assert param == name
    else:
        harmless = {known.partition(".")[0] for known in HARMLESS}
        assert name in {*model.model_fields, *harmless}, "nobody knows it"
        value, more = SPECIAL.get((path, name), (HONOURED.get(name, {}), {}))
        answer = await client.post(path, json={**right, **more, name: value})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", sorted(published.Options.model_fields))
async def test_ollamas_option_is_honoured_refused_by_name_or_harmless(
    client: httpx.AsyncClient, name: str
) -> None:
    path, _, right = OLLAMA_CHAT
    field = schemas_ollama.Options.model_fields.get(name)
    if field and any(isinstance(one, NotOffered) for one in field.metadata):
        answer = await client.post(path, json={**right, "options": {name: REFUSED[name]}})
        assert answer.status_code == 400
        assert f"options.{name}" in answer.json()["error"]
        return
    assert field or f"options.{name}" in HARMLESS, "nobody knows it"
    for value in (1, None):
        value = "x" if name == "stop" and value else value
        answer = await client.post(path, json={**right, "options": {name: value}})
        assert answer.status_code == 200, answer.text


def test_embeddings_fields_are_all_known() -> None:
    assert set(typing.get_type_hints(EmbeddingCreateParams)) == set(EmbeddingRequest.model_fields)


@pytest.mark.parametrize(
    ("path", "field", "part"),
    [
        (RESPONSES, "text", {"verbosity": "low"}),
        (RESPONSES, "reasoning", {"effort": "high"}),
        (RESPONSES, "include", ["message.output_text.logprobs"]),
    ],
)
async def test_part_of_a_field_that_is_not_offered_is_named(
    client: httpx.AsyncClient, path: Api, field: str, part: Any
) -> None:
    answer = await client.post(path[0], json={**path[2], field: part})
    assert answer.status_code == 400
    message, param = told(answer)
    assert (param or "").startswith(field)
    assert "not offered" in message


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logit_bias": {"word": 5}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
    ],
)
async def test_fields_that_do_not_fit_each_other_are_told_by_the_field_that_is_wrong(
    client: httpx.AsyncClient, wrong: dict[str, Any], param: str
) -> None:
    answer = await client.post(CHAT[0], json={**CHAT[2], **wrong})
    assert answer.status_code == 400
    assert (told(answer)[1] or "").split(".")[0] == param
