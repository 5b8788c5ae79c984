"""Room npu over HTTP, as OpenAI's own client and a browser's form use it."""

import base64
import json
import struct
from typing import Any

import httpx
import httpx2
import openai
import pytest
from fastapi import FastAPI

from deployments.npu.embeddings.schemas import MAX_TEXTS
from deployments.npu.ocr.service import MAX_IMAGE_BYTES
from tests.contract.npu.conftest import KEY, MODELS, READ_ONLY, WRITTEN, as_file, draw

AS_JSON = {"content-type": "application/json"}
TEXTS = ["the first text", "another, longer text about something else", "third"]


@pytest.fixture
def official(app: FastAPI) -> openai.AsyncOpenAI:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    http = httpx2.AsyncClient(transport=transport)
    return openai.AsyncOpenAI(
        api_key=KEY, base_url="http://npu/v1", http_client=http, max_retries=0
    )


async def test_openais_client_gets_the_same_vectors_as_float_and_base64(
    official: openai.AsyncOpenAI,
) -> None:
    floats = await official.embeddings.create(model="default", input=TEXTS, encoding_format="float")
    packed = await official.embeddings.create(model="default", input=TEXTS)  # its own default
    assert [entry.index for entry in floats.data] == [0, 1, 2]
    for one, other in zip(floats.data, packed.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-2)
        assert sum(value * value for value in one.embedding) == pytest.approx(1, abs=1e-3)
    assert floats.model == packed.model == MODELS[0]
    assert floats.usage.prompt_tokens == floats.usage.total_tokens == packed.usage.total_tokens > 8


async def test_openais_client_gets_its_own_errors(official: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await official.embeddings.create(model="text-embedding-3-small", input="hello")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as empty:
        await official.embeddings.create(model="default", input="")
    assert "input[0]" in empty.value.message
    with pytest.raises(openai.BadRequestError) as long:
        await official.embeddings.create(model="default", input="word " * 600)
    assert long.value.code == "context_length_exceeded"
    assert "602" in long.value.message
    stranger = official.with_options(api_key="ab_wrong")
    with pytest.raises(openai.AuthenticationError):
        await stranger.embeddings.create(model="default", input="x")


async def test_base64_is_little_endian_float32(client: httpx.AsyncClient) -> None:
    body = {"input": "one text", "model": MODELS[1]}
    floats = (await client.post("/v1/embeddings", json=body)).json()
    packed = await client.post("/v1/embeddings", json={**body, "encoding_format": "base64"})
    raw = base64.b64decode(packed.json()["data"][0]["embedding"], validate=True)
    values = struct.unpack(f"<{len(raw) // 4}f", raw)
    assert list(values) == pytest.approx(floats["data"][0]["embedding"], abs=1e-3)


async def test_answers_say_where_they_were_made(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "text", "model": MODELS[1]})
    assert answer.headers["x-autobot-model"] == MODELS[1] == answer.json()["model"]
    assert answer.headers["x-autobot-device"]
    assert answer.headers["x-autobot-engine"] == "an engine"
    assert answer.headers["x-autobot-room"] == "npu"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": []},
        {"input": None},
        {"input": 7},
        {"input": ["fine", 7]},
        {"input": ["x"] * (MAX_TEXTS + 1)},
        {"input": [1, 2, 3]},
        {"input": [[1, 2], [3]]},
        {"input": "x", "encoding_format": "hex"},
        {"input": "x", "dimensions": 0},
        {"input": "x", "dimensions": "many"},
        {"input": "x", "dimensions": 10**30},
        {"input": "x", "model": None},
        {"input": "x", "model": ["default"]},
        {"input": "x", "dimensions": 7},
        {"input": "x", "model": ""},
        {"input": "x", "model": "../../etc/passwd"},
        {"input": "\ud800"},
    ],
    ids=lambda body: json.dumps(body)[:40],
)
async def test_bad_requests_are_told_in_openais_shape(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await client.post("/v1/embeddings", content=json.dumps(body), headers=AS_JSON)
    assert 400 <= answer.status_code < 500
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"input": NaN}', b"\xff\xfe"])
async def test_bodies_that_are_no_request_are_told_in_openais_shape(
    client: httpx.AsyncClient, content: bytes
) -> None:
    answer = await client.post("/v1/embeddings", content=content, headers=AS_JSON)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["message"]


async def test_token_ids_are_refused_with_the_reason(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": [9906, 1917]})
    assert "send the text" in answer.json()["error"]["message"]


async def test_text_may_hold_any_characters(client: httpx.AsyncClient) -> None:
    texts = ["nul \0 inside", "right-to-left שלום", "[CLS] [SEP] [MASK]", "\u0301\u0301 a", "🙂"]
    answer = await client.post("/v1/embeddings", json={"input": texts})
    assert len(answer.json()["data"]) == len(texts)


async def test_ocr_takes_raw_bytes_and_forms_alike(client: httpx.AsyncClient) -> None:
    image = as_file(draw())
    raw = await client.post("/api/ocr", content=image, headers={"content-type": "image/png"})
    form = await client.post("/api/ocr", files={"file": ("page.png", image, "image/png")})
    for answer in (raw, form):
        assert answer.status_code == 200
        read = answer.json()
        assert read["text"].splitlines() == list(WRITTEN)
        assert [line["text"] for line in read["lines"]] == list(WRITTEN)
        assert [len(line["box"]) for line in read["lines"]] == [4, 4]
        assert (read["width"], read["height"]) == (900, 300)
        assert read["milliseconds"] > 0
        assert read["engine"] == "an engine"
        assert read["device"] == answer.headers["x-autobot-device"] != ""
        assert read["model"] == answer.headers["x-autobot-model"] != ""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"not an image"}, 422),
        ({"content": b""}, 422),
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 422),
        ({"content": b"\0" * (MAX_IMAGE_BYTES + 1)}, 413),
        ({"files": {"file": ("x.png", b"\0" * (MAX_IMAGE_BYTES + 1))}}, 413),
        ({"files": {"file": ("x.png", b"broken")}}, 422),
        ({"files": {"picture": ("x.png", b"broken")}}, 422),
        ({"data": {"file": "text"}, "files": {"a": ("b", b"")}}, 422),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400),
    ],
    ids=range(10),
)
async def test_ocr_refusals_are_problems(
    client: httpx.AsyncClient, request_: dict[str, Any], status: int
) -> None:
    answer = await client.post("/api/ocr", **request_)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/ocr"])
async def test_every_route_asks_for_a_key_of_the_room(client: httpx.AsyncClient, path: str) -> None:
    without = await client.post(path, headers={"authorization": ""}, content=b"{}")
    assert without.status_code == 401
    reading = {"authorization": f"Bearer {READ_ONLY}"}
    assert (await client.post(path, headers=reading, content=b"{}")).status_code == 403


async def test_the_openapi_document_tells_both_ways_to_send_an_image(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    assert set(paths) == {"/v1/embeddings", "/api/ocr"}
    assert set(paths["/api/ocr"]["post"]["requestBody"]["content"]) == {
        "application/pdf",
        "image/*",
        "multipart/form-data",
    }
