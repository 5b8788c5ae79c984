"""Requests that are wrong on purpose: refused in the API's own shape, and the room goes on."""

import io
import math
import wave
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.contract.documented import (
    HALF,
    assert_documented_as_told,
    assert_refused,
    assert_told,
    in_short,
)
from tests.contract.npu.conftest import as_file, client_of, draw
from tests.contract.npu.in_process import room
from tests.contract.npu.ocr.test_contract import bomb as picture_bomb
from tests.contract.npu.ocr.test_pdf import bomb as pdf_bomb
from tests.contract.npu.ocr.test_pdf import one_page

TEN_MEGABYTES = "w " * 5_000_000
BODIES: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"input": "hello"},
    "/v1/rerank": {"query": "hello", "documents": ["hello"]},
}
TABLE: list[tuple[str, dict[str, Any], int]] = [
    *((path, {"model": "nobody"}, 404) for path in BODIES),
    *((path, {"model": value}, 400) for path in BODIES for value in (None, 7, [], {}, HALF)),
    ("/v1/embeddings", {"input": TEN_MEGABYTES}, 400),
    ("/v1/embeddings", {"input": math.nan}, 400),
    ("/v1/embeddings", {"input": ["fine", HALF]}, 400),
    ("/v1/embeddings", {"dimensions": math.nan}, 400),
    ("/v1/rerank", {"query": TEN_MEGABYTES}, 413),
    ("/v1/rerank", {"documents": [TEN_MEGABYTES]}, 413),
    ("/v1/rerank", {"documents": [{"text": 7}]}, 400),
    ("/v1/rerank", {"top_n": math.inf}, 400),
]
BOUNDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("/v1/embeddings", {"input": ["a"] * 2049}, "input", "at most 2048 items"),
    ("/v1/embeddings", {"input": []}, "input", "at least 1 item"),
    ("/v1/embeddings", {"input": ["a", 7]}, "input.1", "valid string"),
    ("/v1/embeddings", {"input": ["a", ""]}, "input", "input[1] has no words"),
    ("/v1/embeddings", {"input": "w" * 65_537}, "input", "at most 65536"),
    ("/v1/embeddings", {"input": [7]}, "input", "send the text"),
    ("/v1/embeddings", {"dimensions": 0}, "dimensions", "greater than or equal to 1"),
    ("/v1/embeddings", {"dimensions": 5}, "dimensions", "64 dimensions, not 5"),
    ("/v1/embeddings", {"encoding_format": "x"}, "encoding_format", "'base64'"),
    ("/v1/rerank", {"documents": ["a"] * 1001}, "documents", "at most 1000 items"),
    ("/v1/rerank", {"documents": []}, "documents", "at least 1 item"),
    ("/v1/rerank", {"documents": [""]}, "documents", "documents[0] has no words"),
    ("/v1/rerank", {"documents": ["a", {"text": 7}]}, "documents.1.text", "valid string"),
    ("/v1/rerank", {"documents": [{"x": 1}]}, "documents.0.text", "required"),
    ("/v1/rerank", {"query": ""}, "query", "no words"),
    ("/v1/rerank", {"top_n": 0}, "top_n", "greater than or equal to 1"),
    ("/v1/rerank", {"return_documents": "perhaps"}, "return_documents", "boolean"),
]
GRANULARITIES = "timestamp_granularities[]"
FORMS = [
    ({"temperature": "2"}, "temperature", "less than or equal to 1"),
    ({"temperature": "nan"}, "temperature", "finite"),
    ({"response_format": "x"}, "response_format", "'verbose_json'"),
    ({"prompt": "x" * 4097}, "prompt", "at most 4096 characters"),
    ({"stream": "true"}, "stream", "not streamed"),
    ({"language": "klingon"}, "language", "klingon"),
    ({GRANULARITIES: "word"}, GRANULARITIES, "words"),
    ({GRANULARITIES: "letter"}, f"{GRANULARITIES}.0", "'segment'"),
]
FILES: dict[str, bytes] = {
    "nothing": b"",
    "no picture": b"no picture",
    "half a picture": as_file(draw())[:200],
    "a picture bomb": picture_bomb(30_000, 30_000),
    "half a PDF": b"%PDF-1.7\n1 0 obj",
}


def silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 16_000, 0, "NONE", ""))
        written.writeframes(bytes(32_000))
    return file.getvalue()


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient, None]:
    async with client_of(await room()) as client:
        yield client


@pytest.mark.parametrize(("path", "wrong", "status"), TABLE, ids=in_short)
async def test_wrong_value_is_refused_in_openais_shape_and_the_room_goes_on(
    client: httpx.AsyncClient, path: str, wrong: dict[str, Any], status: int
) -> None:
    await assert_refused(client, path, BODIES[path], wrong, status)


@pytest.mark.parametrize("kind", FILES)
async def test_file_that_is_none_is_a_problem_and_the_next_one_is_read(
    client: httpx.AsyncClient, kind: str
) -> None:
    await _refused(client, "/api/ocr", FILES[kind])
    assert (await client.post("/api/ocr", content=as_file(draw()))).status_code == 200


async def test_pdf_of_two_gigabytes_in_four_is_a_problem_and_the_next_page_is_read(
    client: httpx.AsyncClient,
) -> None:
    await _refused(client, "/api/ocr", one_page(pdf_bomb(), filters=b"/Filter/FlateDecode"))
    assert (await client.post("/api/ocr", content=as_file(draw()))).status_code == 200


@pytest.mark.parametrize("kind", FILES)
async def test_what_is_no_audio_is_refused_in_openais_shape(
    client: httpx.AsyncClient, kind: str
) -> None:
    form = {"file": ("a.wav", FILES[kind])}
    answer = await client.post("/v1/audio/transcriptions", files=form)
    assert answer.status_code == 400, answer.text
    assert_told(answer)
    assert answer.json()["error"]["param"] == "file"


@pytest.mark.parametrize(("path", "wrong", "param", "limit"), BOUNDS, ids=in_short)
async def test_bound_that_is_passed_is_told_with_its_field(
    client: httpx.AsyncClient, path: str, wrong: dict[str, Any], param: str, limit: str
) -> None:
    answer = await client.post(path, json=BODIES[path] | wrong)
    assert answer.status_code == 400, answer.text
    assert_told(answer)
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert limit in error["message"]


@pytest.mark.parametrize(("wrong", "param", "limit"), FORMS, ids=in_short)
async def test_so_is_one_of_the_form_for_audio(
    client: httpx.AsyncClient, wrong: dict[str, str], param: str, limit: str
) -> None:
    files = {"file": ("a.wav", silence())}
    answer = await client.post("/v1/audio/transcriptions", data=wrong, files=files)
    assert answer.status_code == 400, answer.text
    assert_told(answer)
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert limit in error["message"]


async def test_audio_that_is_missing_or_text_is_told_with_its_field(
    client: httpx.AsyncClient,
) -> None:
    for sent in ({"model": "default"}, {"file": "x"}):
        answer = await client.post("/v1/audio/transcriptions", data=sent)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "file"


def test_document_lists_what_is_answered(app: FastAPI) -> None:
    assert_documented_as_told(app)


@pytest.fixture
async def app() -> FastAPI:
    return await room()


async def _refused(client: httpx.AsyncClient, path: str, content: bytes) -> None:
    answer = await client.post(path, content=content)
    assert answer.status_code in (400, 413, 422), answer.text[:300]
    assert_told(answer)
