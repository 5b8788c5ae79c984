"""Requests that are wrong on purpose: refused in the API's own shape, and the room goes on."""

import math
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from tests.contract.documented import HALF, assert_refused, assert_told, in_short
from tests.contract.npu.conftest import as_file, client_of, draw
from tests.contract.npu.in_process import room
from tests.contract.npu.test_ocr_contract import bomb as picture_bomb
from tests.contract.npu.test_ocr_pdf import bomb as pdf_bomb
from tests.contract.npu.test_ocr_pdf import one_page

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
FILES: dict[str, bytes] = {
    "nothing": b"",
    "no picture": b"no picture",
    "half a picture": as_file(draw())[:200],
    "a picture bomb": picture_bomb(30_000, 30_000),
    "half a PDF": b"%PDF-1.7\n1 0 obj",
}


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
    assert answer.status_code in (400, 422), answer.text
    assert_told(answer)


async def _refused(client: httpx.AsyncClient, path: str, content: bytes) -> None:
    answer = await client.post(path, content=content)
    assert answer.status_code in (400, 413, 422), answer.text[:300]
    assert_told(answer)
