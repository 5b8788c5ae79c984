"""What every reranker must do, and `POST /v1/rerank` around it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from autobot.errors import BadRequest, ContextLengthExceeded, ModelNotFound, TooLarge
from deployments.npu.rerank.api import rerank_routes
from deployments.npu.rerank.service import MAX_DOCUMENTS, Reranker
from tests.contract.npu.conftest import MODELS, READ_ONLY, app_of, client_of

QUERY = "Which cat naps on the sill?"
DOCUMENTS = [
    "Interest rates rose again in October.",
    "The grey cat naps on the sill all day.",
    "A dog naps outside.",
]


async def test_the_document_that_answers_comes_first(reranker: Reranker) -> None:
    ranked = await reranker.rerank(QUERY, DOCUMENTS)
    assert [index for index, _ in ranked.ranking] == [1, 2, 0]
    scores = [score for _, score in ranked.ranking]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert ranked.method
    assert ranked.device


async def test_only_the_best_are_returned_when_asked(reranker: Reranker) -> None:
    assert [index for index, _ in (await reranker.rerank(QUERY, DOCUMENTS, top=1)).ranking] == [1]
    assert len((await reranker.rerank(QUERY, DOCUMENTS, top=99)).ranking) == 3


async def test_a_document_scores_the_same_alone_and_among_others(reranker: Reranker) -> None:
    together = dict((await reranker.rerank(QUERY, DOCUMENTS * 20)).ranking)
    for index, document in enumerate(DOCUMENTS):
        ((_, alone),) = (await reranker.rerank(QUERY, [document])).ranking
        assert alone == pytest.approx(together[index], abs=2e-3)


async def test_the_end_of_a_long_document_is_read_too(reranker: Reranker) -> None:
    noise = "Interest rates rose again in October. " * 200
    ranked = await reranker.rerank(QUERY, [noise, noise + DOCUMENTS[1]])
    assert ranked.ranking[0][0] == 1
    assert ranked.tokens > 2000


async def test_callers_with_other_queries_share_batches_and_get_their_own(
    reranker: Reranker,
) -> None:
    queries = [QUERY, "What happened to interest rates?", "Where is the dog?"] * 5
    alone = [(await reranker.rerank(query, DOCUMENTS)).ranking for query in queries[:3]]
    answers = await asyncio.gather(*(reranker.rerank(query, DOCUMENTS) for query in queries))
    for answer, expected in zip(answers, alone * 5, strict=True):
        assert dict(answer.ranking) == pytest.approx(dict(expected), abs=2e-3)


async def test_what_cannot_be_ranked_is_refused(reranker: Reranker) -> None:
    with pytest.raises(BadRequest, match="query has no words"):
        await reranker.rerank(" ", DOCUMENTS)
    with pytest.raises(BadRequest, match=r"documents\[1\]"):
        await reranker.rerank(QUERY, ["fine", "\n"])
    with pytest.raises(ContextLengthExceeded, match=r"query has 602 tokens"):
        await reranker.rerank("word " * 600, DOCUMENTS)
    with pytest.raises(TooLarge, match="300000"):
        await reranker.rerank(QUERY, ["word " * 1000] * 400)
    with pytest.raises(TooLarge, match="characters"):
        await reranker.rerank(QUERY, ["x" * 10_000] * 1000)
    with pytest.raises(ModelNotFound, match="rerank-english"):
        await reranker.rerank(QUERY, DOCUMENTS, "rerank-english-v3.0")


async def test_facts_load_nothing(reranker: Reranker) -> None:
    assert (await reranker.facts())["loaded"] == []
    await reranker.rerank(QUERY, DOCUMENTS, MODELS[1])
    assert (await reranker.facts())["loaded"] == [MODELS[1]]


@pytest.fixture
async def client(reranker: Reranker) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(await app_of(rerank_routes(reranker, "an engine"))) as client:
        yield client


async def test_the_answer_has_the_shape_of_cohere_and_jina(client: httpx.AsyncClient) -> None:
    documents = [DOCUMENTS[0], {"text": DOCUMENTS[1]}, DOCUMENTS[2]]
    body = {"model": "default", "query": QUERY, "documents": documents, "top_n": 2}
    answer = await client.post("/v1/rerank", json={**body, "return_documents": True})
    read = answer.json()
    assert [found["index"] for found in read["results"]] == [1, 2]
    assert [found["document"]["text"] for found in read["results"]] == DOCUMENTS[1:]
    assert read["results"][0]["relevance_score"] > read["results"][1]["relevance_score"]
    assert read["model"] == answer.headers["x-autobot-model"] == MODELS[1]
    assert read["method"]
    assert read["usage"]["total_tokens"] > 20
    assert answer.headers["x-autobot-device"]
    assert answer.headers["x-autobot-engine"] == "an engine"
    plain = (await client.post("/v1/rerank", json=body)).json()
    assert set(plain["results"][0]) == {"index", "relevance_score"}


@pytest.mark.parametrize(
    "change",
    [
        {"query": None},
        {"query": ""},
        {"query": ["a"]},
        {"documents": []},
        {"documents": "one"},
        {"documents": [7]},
        {"documents": [{"title": "no text"}]},
        {"documents": ["x"] * (MAX_DOCUMENTS + 1)},
        {"documents": ["\ud800"]},
        {"documents": [{"text": "half \ud800"}], "return_documents": True},
        {"top_n": 0},
        {"top_n": "some"},
        {"model": "../../etc/passwd"},
        {"model": None},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
async def test_bad_requests_are_told_in_openais_shape(
    client: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS, **change}
    headers = {"content-type": "application/json"}
    answer = await client.post("/v1/rerank", content=json.dumps(body), headers=headers)
    assert 400 <= answer.status_code < 500
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_key_of_the_room_is_asked_for(client: httpx.AsyncClient) -> None:
    reading = {"authorization": f"Bearer {READ_ONLY}"}
    assert (await client.post("/v1/rerank", headers=reading, json={})).status_code == 403
