"""What rooms with an API are asked: all that their document allows, and what it does not."""

import asyncio
import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

PARTS = ("method", "url", "headers", "params", "json", "data", "files", "cookies")
EXAMPLES = 15
"""In each mode: of requests as documented, and of others."""
HALF = "\ud83d"  # the first half of a surrogate pair: JSON can say it, UTF-8 cannot
OPENAI_ERROR = {"message", "type", "param", "code"}


def operations(app: FastAPI, known: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The app's operations by label. A field or parameter in `known` has one of those values: a
    model of a random name is a 404 each time, and nothing behind it is ever reached."""
    document = copy.deepcopy(app.openapi())
    for schema in document.get("components", {}).get("schemas", {}).values():
        for name in schema.get("properties", {}).keys() & known.keys():
            schema["properties"][name] = {"enum": list(known[name])}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in known and "{" in path:
                    parameter["schema"] = {"type": "string", "enum": list(known[parameter["name"]])}
    loaded = schemathesis.openapi.from_dict(document)
    return {found.ok().label: found.ok() for found in loaded.get_all_operations()}


def cases(found: Mapping[str, Any]) -> list[tuple[str, GenerationMode]]:
    """What to ask: each operation as documented, and against its document where a request can break
    it, which one without body and query cannot."""
    asked = [(label, GenerationMode.POSITIVE) for label in found]
    breakable = [label for label, one in found.items() if one.body or one.query]
    return asked + [(label, GenerationMode.NEGATIVE) for label in breakable]


def ask_all(
    runner: asyncio.Runner, app: FastAPI, key: str, operation: Any, mode: GenerationMode
) -> int:
    """Send `EXAMPLES` requests; fail at one the room crashes on or refuses in another shape than
    its API's. Return how many were served: none means that the test does not get far."""
    served = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # shrinking takes minutes where an example takes milliseconds
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal served
        sent = case.as_transport_kwargs(base_url="http://room")
        request = requests.Request(**{k: v for k, v in sent.items() if k in PARTS}).prepare()
        answer = runner.run(_send(app, key, request))
        assert_told(answer)
        served += answer.is_success

    ask()
    return served


async def _send(app: FastAPI, key: str, request: requests.PreparedRequest) -> httpx.Response:
    """A crash is raised here, in the middle of a stream too, where a status would not show it."""
    headers = {**dict(request.headers), "authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), timeout=30) as client:
        return await client.request(
            str(request.method), str(request.url), content=request.body, headers=headers
        )


def assert_told(answer: httpx.Response) -> None:
    """Served, or refused in the shape of the API that was asked; 503 is the one 5xx allowed."""
    status, path = answer.status_code, answer.request.url.path
    assert status < 500 or status == 503, f"{status}: {answer.text[:500]}"
    assert status != 499, "nobody hung up"
    if status < 400:
        return
    told = json.loads(answer.content)
    if path.startswith("/v1/"):
        assert set(told["error"]) == OPENAI_ERROR, told
        assert told["error"]["message"]
    elif path.startswith(("/ollama/", "/v2/")):
        assert set(told) == {"error"}, told
        assert isinstance(told["error"], str)
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert told["status"] == status
        assert told["detail"]


def assert_documented_as_told(app: FastAPI) -> None:
    """The document lists 400 for a wrong value where others' APIs have no 422, and its shape."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            if not f"{path}/".startswith(("/v1/", "/ollama/", "/v2/")):
                continue
            assert "422" not in operation["responses"], path
            if method == "post":
                content = operation["responses"]["400"]["content"]["application/json"]
                error = content["schema"]["properties"]["error"]
                assert error["type"] == ("object" if path.startswith("/v1/") else "string")
                assert set(error.get("properties", OPENAI_ERROR)) == OPENAI_ERROR


def in_short(value: object) -> str | None:
    """A case's name in a table of bodies."""
    return json.dumps(value)[:50] if isinstance(value, dict) else None


async def assert_refused(
    client: httpx.AsyncClient, path: str, right: dict[str, Any], wrong: dict[str, Any], status: int
) -> None:
    """The right request with something wrong in it is told so, and the next right one is served."""
    headers = {"content-type": "application/json"}
    # Written here: NaN and half a surrogate pair are what a client's own writer would refuse.
    answer = await client.post(path, content=json.dumps(right | wrong), headers=headers)
    assert answer.status_code == status, answer.text[:300]
    assert_told(answer)
    assert (await client.post(path, json=right)).status_code == 200
