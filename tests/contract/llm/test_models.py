"""What `/v1/models` lists beside the engines' own models."""

import httpx

from tests.contract.llm.in_process import KEY, room


async def test_declared_list_is_a_model_whose_owner_names_its_places() -> None:
    transport = httpx.ASGITransport(await room())
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://room") as client:
        client.headers.update(headers)
        listed = {one["id"]: one for one in (await client.get("/v1/models")).json()["data"]}
        alone = (await client.get("/v1/models/list")).json()
    assert set(listed) == {"list", "fake", "seeing"}
    assert listed["list"]["owned_by"] == "fallback: nowhere/fake, fake/fake"
    assert listed["fake"]["owned_by"] == "autobot"
    assert alone == listed["list"]
