"""The document that anybody may ask for."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from deployments.main.documentation.api import documentation_routes


async def test_many_who_ask_without_a_key_cause_one_call_of_the_rooms() -> None:
    calls = 0

    async def rooms() -> list[dict[str, Any]]:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.05)
        return [{"paths": {"/v1/models": {"get": {}}}}]

    app = FastAPI(openapi_url=None)
    app.include_router(documentation_routes(rooms))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://room") as client:
        answers = await asyncio.gather(*(client.get("/openapi.json") for _ in range(20)))
    assert calls == 1
    assert {answer.status_code for answer in answers} == {200}
    assert "/v1/models" in answers[-1].json()["paths"]
