"""A client of the Model Context Protocol uses the rooms through the ingress."""

import base64
import io
import json
from typing import Any

import fastmcp
from fastmcp.client.auth import BearerAuth
from PIL import Image, ImageDraw

from tests.e2e.platform.conftest import OWN_ROOM
from tests.platform import Platform

PAGE = "<main><h1>Opening hours</h1><p>From nine to five, on weekdays only.</p></main>"


def client(platform: Platform, key: str | None = None) -> fastmcp.Client[Any]:
    return fastmcp.Client(
        f"{platform.url}/mcp", auth=BearerAuth(key or platform.key), timeout=60, init_timeout=60
    )


def picture(text: str) -> str:
    image = Image.new("RGB", (480, 120), "white")
    ImageDraw.Draw(image).text((30, 30), text, fill="black", font_size=48)
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


async def test_a_model_reads_pages_pictures_and_meanings(platform: Platform) -> None:
    async with client(platform) as mcp:
        page = await mcp.call_tool("browser_markdown", {"html": PAGE, "whole": True})
        seen = await mcp.call_tool("browser_screenshot", {"html": PAGE})
        read = await mcp.call_tool("npu_ocr", {"file": picture("Invoice 42")})
        ranked = await mcp.call_tool(
            "npu_rerank", {"query": "a pet", "documents": ["the stock market", "a small cat"]}
        )
        answer = await mcp.call_tool("llm_chat", {"prompt": "Say hello.", "max_tokens": 8})
        vectors = await mcp.call_tool("npu_embed", {"texts": ["a cat"]})
    assert "nine to five" in json.dumps(page.structured_content)
    assert seen.content[0].type == "image"
    assert "42" in json.dumps(read.structured_content)
    assert ranked.structured_content is not None
    assert ranked.structured_content["ranking"][0]["document"] == "a small cat"
    assert answer.structured_content is not None
    assert answer.structured_content["text"]
    assert vectors.structured_content is not None
    assert len(vectors.structured_content["embeddings"][0]) == 384


async def test_a_room_of_an_owners_own_adds_its_tools(platform: Platform) -> None:
    async with client(platform) as mcp:
        answer = await mcp.call_tool("greeter_greet", {"name": "Ada"})
    assert answer.structured_content == {"greeting": "Hello, Ada."}


async def test_a_key_sees_the_tools_of_its_scopes_alone(platform: Platform) -> None:
    with platform.client() as http:
        made = http.post("/api/keys", json={"name": "mcp", "scopes": [OWN_ROOM]}).json()
    try:
        async with client(platform, made["key"]) as mcp:
            assert [tool.name for tool in await mcp.list_tools()] == ["greeter_greet"]
    finally:
        with platform.client() as http:
            http.delete(f"/api/keys/{made['id']}")
    with platform.client(made["key"]) as http:
        assert http.post("/mcp", json={}).status_code == 401
