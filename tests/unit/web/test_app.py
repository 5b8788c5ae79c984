"""What every HTTP surface shares: shapes of errors, keys, limits, headers of origin."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect, Request

from autobot.errors import Busy, NotFound, Unavailable
from autobot.keys import KeyRing, NewKey, make_key
from autobot.web.app import create_app
from autobot.web.auth import require
from autobot.web.documents import merge_openapi


class Body(BaseModel):
    count: int = Field(ge=0)


class Union(BaseModel):
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    many: (
        Annotated[str, Field(max_length=9)]
        | Annotated[list[str], Field(max_length=3)]
        | Annotated[list[int], Field(max_length=3)]
    ) = ""


def routes() -> APIRouter:
    router = APIRouter()

    for prefix in ("/v1", "/api", "/ollama"):

        @router.get(f"{prefix}/thing", dependencies=[Depends(require("llm"))])
        async def thing() -> dict[str, str]:
            return {"thing": "here"}

        @router.get(f"{prefix}/missing")
        async def missing() -> None:
            raise NotFound("no such thing")

        @router.get(f"{prefix}/busy")
        async def busy() -> None:
            raise Busy

        @router.get(f"{prefix}/crash")
        async def crash() -> None:
            raise RuntimeError("secret path in a traceback")

        @router.post(f"{prefix}/body")
        async def body(body: Body) -> int:
            return body.count

    @router.post("/v1/union")
    async def union(body: Union) -> None: ...

    @router.get("/v1/endless")
    async def endless() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)

        return StreamingResponse(pieces())

    @router.get("/api/hung-up")
    async def hung_up() -> None:
        raise ClientDisconnect

    @router.post("/api/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    return router


class Seen:
    def __init__(self) -> None:
        self.rows: list[tuple[str, int]] = []

    def __call__(self, route: str, status: int, seconds: float) -> None:
        self.rows.append((route, status))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def client(seen: Seen) -> AsyncIterator[httpx.AsyncClient]:
    _, record = make_key(NewKey(name="t", scopes=("llm",)), "ab_test")

    async def fetch() -> list:
        return [record]

    ring = KeyRing(fetch)
    await ring.refresh()
    app = create_app(
        "llm", [routes()], ring, headers={"x-autobot-node": "n1"}, max_body_bytes=1000, observe=seen
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    key = {"Authorization": "Bearer ab_test"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=key) as made:
        yield made


async def test_key_in_either_header_opens_and_its_absence_closes(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/thing")).status_code == 200
    del client.headers["authorization"]
    assert (await client.get("/v1/thing", headers={"x-api-key": "ab_test"})).status_code == 200
    refused = await client.get("/v1/thing")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


async def test_v1_speaks_openais_error_shape(client: httpx.AsyncClient) -> None:
    error = (await client.get("/v1/missing")).json()["error"]
    assert error == {
        "message": "no such thing",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }
    del client.headers["authorization"]
    refused = (await client.get("/v1/thing")).json()["error"]
    assert (refused["type"], refused["code"]) == ("authentication_error", "invalid_api_key")


async def test_ollama_speaks_ollamas_error_shape(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ollama/missing")).json() == {"error": "no such thing"}


async def test_api_speaks_problem_json_with_a_stable_type(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/missing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:autobot:problem:not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "no such thing",
        "instance": "/api/missing",
    }


async def test_busy_and_unavailable_say_when_to_come_back(client: httpx.AsyncClient) -> None:
    busy = await client.get("/api/busy")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
    assert Unavailable.retry_after == 2.0


async def test_wrong_body_names_the_field(client: httpx.AsyncClient) -> None:
    openai = await client.post("/v1/body", json={"count": -1})
    assert openai.status_code == 400
    assert openai.json()["error"]["param"] == "count"
    assert (await client.post("/ollama/body", json={"count": -1})).status_code == 400
    own = await client.post("/api/body", json={"count": "many"})
    assert own.status_code == 422
    assert own.json()["detail"].startswith("count: ")


async def test_unknown_route_and_method_keep_the_shape(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/nowhere")).json()["error"]["code"] == "not_found"
    wrong = await client.delete("/api/missing")
    assert (wrong.status_code, wrong.json()["status"]) == (405, 405)


async def test_the_root_of_an_api_has_its_shape_and_a_longer_word_has_not(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/v1")).json()["error"]["code"] == "not_found"
    for root in ("/ollama", "/v2"):
        assert (await client.get(root)).json() == {"error": "Not Found"}
    assert (await client.get("/v2x")).json()["status"] == 404


async def test_a_crash_tells_nothing_of_the_inside(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/crash")
    assert answer.status_code == 500
    assert "secret" not in answer.text


async def test_declared_and_chunked_bodies_stop_at_the_limit(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/raw", content=b"x" * 1000)).json() == 1000
    assert (await client.post("/api/raw", content=b"x" * 1001)).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    assert (await client.post("/api/raw", content=chunks())).status_code == 413


async def test_every_answer_says_where_it_ran_and_is_counted_by_route(
    client: httpx.AsyncClient, seen: Seen
) -> None:
    answer = await client.get("/api/missing")
    assert (answer.headers["x-autobot-room"], answer.headers["x-autobot-node"]) == ("llm", "n1")
    assert seen.rows == [("/api/missing", 404)]


async def test_other_pages_may_ask_and_read_where_it_ran(client: httpx.AsyncClient) -> None:
    preflight = await client.options(
        "/v1/thing",
        headers={
            "Origin": "http://page:5173",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert preflight.status_code == 200
    answer = await client.get("/api/missing", headers={"Origin": "http://page:5173"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_documents_of_rooms_become_one() -> None:
    def document(path: str) -> dict:
        app = FastAPI()

        @app.post(path)
        async def post(body: Body) -> Body:
            return body

        return app.openapi()

    merged = merge_openapi([document("/b"), document("/a")])
    assert list(merged["paths"]) == ["/a", "/b"]
    assert "Body" in merged["components"]["schemas"]
    assert merged["security"] == [{"key": []}]


async def test_a_caller_who_hung_up_is_no_crash(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/hung-up")).status_code == 499


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"stop": ["a"] * 5}, "stop", "at most 4 items"),
        ({"many": ["a"] * 4}, "many", "at most 3 items"),
        ({"many": "x" * 10}, "many", "at most 9 characters"),
    ],
)
async def test_of_a_union_the_branch_that_was_meant_says_its_limit(
    client: httpx.AsyncClient, body: dict[str, Any], param: str, said: str
) -> None:
    error = (await client.post("/v1/union", json=body)).json()["error"]
    assert said in error["message"]
    assert error["param"] == param


async def test_what_is_no_json_is_said_to_be_none(client: httpx.AsyncClient) -> None:
    json = {"content-type": "application/json"}
    answer = await client.post("/v1/body", content=b"{no", headers=json)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("The body is not JSON: ")
    assert answer.json()["error"]["param"] is None


async def test_a_chunked_json_body_past_the_limit_is_too_large(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    json = {"content-type": "application/json"}
    answer = await client.post("/api/body", content=chunks(), headers=json)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:autobot:problem:too-large")


async def test_head_is_get_without_a_body_and_ends_a_stream(client: httpx.AsyncClient) -> None:
    for path, status in (("/v1/thing", 200), ("/api/missing", 404), ("/v1/endless", 200)):
        async with asyncio.timeout(5):
            answer = await client.head(path)
        assert (answer.status_code, answer.content) == (status, b"")
    assert (await client.head("/v1/body")).status_code == 405


async def test_a_request_keeps_its_name_and_one_without_gets_one(
    client: httpx.AsyncClient,
) -> None:
    named = await client.get("/v1/thing", headers={"x-request-id": "mine-1"})
    assert named.headers["x-request-id"] == "mine-1"
    for odd in ("a b", "x" * 200, "<script>"):
        answer = await client.get("/v1/thing", headers={"x-request-id": odd})
        assert answer.headers["x-request-id"] != odd
        assert len(answer.headers["x-request-id"]) == 32
