"""Requests that are wrong on purpose: refused in the API's own shape, and the room goes on."""

import json
import math
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.contract.documented import (
    HALF,
    assert_documented_as_told,
    assert_refused,
    assert_told,
    in_short,
)
from tests.contract.llm.in_process import KEPT, KEY, room

SAID: Any = [{"role": "user", "content": "hello"}]
DEEP = "[" * 100_000
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "fake", "messages": SAID, "max_tokens": 1},
    "/v1/completions": {"model": "fake", "prompt": "hello", "max_tokens": 1},
    "/v1/responses": {"model": "fake", "input": "hello", "max_output_tokens": 1},
    "/ollama/api/chat": {"model": "fake", "messages": SAID, "stream": False},
    "/ollama/api/generate": {"model": "fake", "prompt": "hello", "stream": False},
    "/ollama/api/embed": {"model": "fake", "input": "hello"},
    "/ollama/api/embeddings": {"model": "fake", "prompt": "hello"},
}
TABLE: list[tuple[str, dict[str, Any], int]] = [
    *((path, {"model": "nobody"}, 404) for path in BODIES),
    *((path, {"model": value}, 400) for path in BODIES for value in (None, 7, [], {}, "", HALF)),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "w " * 5_000_000}]}, 400),
    ("/v1/completions", {"prompt": "w " * 5_000_000}, 400),
    ("/v1/responses", {"input": "w " * 5_000_000}, 400),
    ("/ollama/api/generate", {"prompt": "w " * 5_000_000}, 400),
    ("/v1/chat/completions", {"temperature": math.nan}, 400),
    ("/v1/completions", {"temperature": math.inf}, 400),
    ("/v1/responses", {"temperature": -math.inf}, 400),
    ("/ollama/api/chat", {"options": {"temperature": math.nan}}, 400),
    ("/ollama/api/chat", {"keep_alive": math.nan}, 400),
    ("/ollama/api/chat", {"keep_alive": ["5m"]}, 400),
    ("/ollama/api/chat", {"messages": [{"role": "user", "images": [5]}]}, 400),
    ("/ollama/api/chat", {"messages": [{"role": "user", "images": [None]}]}, 400),
    ("/ollama/api/generate", {"images": [{"data": "x"}]}, 400),
    ("/ollama/api/generate", {"images": ["bm8gcGljdHVyZQ=="]}, 400),
    ("/ollama/api/generate", {"format": {"minimum": math.nan}}, 400),
    ("/ollama/api/generate", {"format": {"$schema": ["x"]}}, 400),
    ("/ollama/api/embed", {"input": []}, 400),
    ("/ollama/api/embeddings", {"prompt": ["one", "two"]}, 400),
    ("/v1/responses", {"metadata": {"a": HALF}}, 400),
    ("/v1/responses", {"metadata": {HALF: "a"}}, 400),
    ("/v1/responses", {"instructions": HALF}, 400),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": HALF}]}, 400),
    ("/v1/completions", {"prompt": HALF, "echo": True}, 400),
    ("/ollama/api/chat", {"messages": [{"role": "user", "content": HALF}]}, 400),
    ("/ollama/api/embed", {"input": ["fine", HALF]}, 400),
    ("/v1/responses", {"tools": [{"type": "function", "name": "a", "parameters": 5}]}, 400),
]


def picture(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def function(parameters: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "look", "parameters": parameters}}]


TABLE += [
    ("/v1/chat/completions", {"messages": picture(url)}, 400)
    for url in ("data:image/png;base64,!!", "data:image/png;base64,eA==", "http://10.0.0.1/a.png")
]
TABLE += [
    ("/v1/chat/completions", {"tools": function(parameters)}, 400)
    for parameters in (
        {"default": math.nan},
        {"default": HALF},
        {"$schema": {}},
        {"$ref": "http://10.0.0.1/schema"},
        {"pattern": "("},
    )
]
# What is odd and yet has a meaning: it is answered.
SERVED: list[tuple[str, dict[str, Any]]] = [
    ("/ollama/api/chat", {"keep_alive": None}),
    ("/ollama/api/generate", {"keep_alive": 1e300}),
    ("/ollama/api/embed", {"keep_alive": None}),
    ("/v1/responses", {"previous_response_id": KEPT}),
]
SERVED += [
    (
        "/v1/chat/completions",
        {
            "messages": [
                *SAID,
                {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": x}}]},
            ]
        },
    )
    for x in (DEEP, '"\\ud83d"', "NaN", "9" * 5000)
]


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient, None]:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    transport = httpx.ASGITransport(await room())  # a crash is raised here
    async with httpx.AsyncClient(transport=transport, base_url="http://room") as made:
        made.headers.update(headers)
        yield made


@pytest.mark.parametrize(("path", "wrong", "status"), TABLE, ids=in_short)
async def test_wrong_value_is_refused_in_the_apis_shape_and_the_room_goes_on(
    client: httpx.AsyncClient, path: str, wrong: dict[str, Any], status: int
) -> None:
    await assert_refused(client, path, BODIES[path], wrong, status)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_more_stop_strings_than_openai_takes_are_told_the_limit(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.post(path, json=BODIES[path] | {"stop": list("abcde")})
    assert answer.status_code == 400
    assert_told(answer)
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "stop")
    assert "at most 4 items" in error["message"]
    four = await client.post(path, json=BODIES[path] | {"stop": list("abcd")})
    assert four.status_code == 200


async def test_document_lists_what_is_answered() -> None:
    assert_documented_as_told(await room())


@pytest.mark.parametrize(("path", "odd"), SERVED, ids=in_short)
async def test_odd_value_that_has_a_meaning_is_answered(
    client: httpx.AsyncClient, path: str, odd: dict[str, Any]
) -> None:
    answer = await client.post(path, content=json.dumps(BODIES[path] | odd))
    assert answer.status_code == 200, answer.text[:300]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", DEEP.encode(), b"7", b"null"])
@pytest.mark.parametrize("path", BODIES)
async def test_body_that_is_no_request_is_refused_in_the_apis_shape(
    client: httpx.AsyncClient, path: str, content: bytes
) -> None:
    answer = await client.post(path, content=content)
    assert 400 <= answer.status_code < 500
    assert_told(answer)
