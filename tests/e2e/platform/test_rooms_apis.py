"""Every room's larger APIs through the ingress, as their own clients speak them."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import openai
import pytest
from playwright.async_api import async_playwright
from websockets.asyncio.client import connect

from tests.platform import Platform

SESSIONS = "/api/browser/sessions"


@pytest.fixture
def session(platform: Platform) -> Iterator[str]:
    """The path of an open browser session."""
    with platform.client() as client:
        opened = client.post(SESSIONS, json={"width": 640, "height": 480})
        assert opened.status_code == 201, opened.text
        path = f"{SESSIONS}/{opened.json()['id']}"
        yield path
        assert client.delete(path).status_code == 204
        assert client.get(path).status_code in (404, 410)


def test_the_official_ollama_client_chats_and_embeds(platform: Platform) -> None:
    headers = {"Authorization": f"Bearer {platform.key}"}
    client = ollama.Client(f"{platform.url}/ollama", headers=headers, timeout=60)
    question = [{"role": "user", "content": "Say hello in one word."}]
    parts = list(client.chat("default", question, stream=True, options={"num_predict": 8}))
    assert parts[-1].done
    assert "".join(part.message.content or "" for part in parts).strip()
    vectors = client.embed("default", ["a cat", "tax law"]).embeddings
    with platform.client() as plain:
        body = {"model": "default", "input": "a cat"}
        same = plain.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    assert vectors[0] == pytest.approx(same, abs=1e-3), "one embedding model for both APIs"
    with httpx.Client(base_url=platform.url, timeout=10) as stranger:
        assert stranger.get("/ollama/api/tags").status_code == 401


def test_the_official_openai_client_gets_a_response_and_a_required_tool_call(
    platform: Platform,
) -> None:
    client = openai.OpenAI(base_url=f"{platform.url}/v1", api_key=platform.key, timeout=120)
    answer = client.responses.create(model="default", input="2+2=", max_output_tokens=16)
    assert answer.output_text.strip()
    assert client.responses.retrieve(answer.id).output_text == answer.output_text
    client.responses.delete(answer.id)
    place = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    called = client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "What is the weather in Oslo?"}],
        tools=[{"type": "function", "function": {"name": "weather", "parameters": place}}],
        tool_choice="required",
        max_tokens=64,
    )
    (call,) = called.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def test_rerank_puts_the_passage_that_answers_first(platform: Platform) -> None:
    documents = ["The tax office opens at nine.", "A kitten is a young cat.", "Rain is wet."]
    body = {"model": "default", "query": "What is a kitten?", "documents": documents}
    with platform.client() as client:
        answer = client.post("/v1/rerank", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["index"] == 1


def test_a_session_reads_a_page_and_never_loads_the_platforms_own(
    platform: Platform, session: str
) -> None:
    with platform.client() as client:
        own = f"http://127.0.0.1:{platform.port('http')}/api/health"
        refused = client.post(f"{session}/goto", json={"url": own})
        assert refused.status_code == 403, refused.text
        assert refused.json()["type"].endswith("blocked-address")
        made = client.post(f"{session}/evaluate", json={"expression": "document.title = 'mine'"})
        assert made.status_code == 200, made.text
        assert client.get(session).json()["id"] == session.rsplit("/", 1)[1]


@pytest.mark.parametrize("kind", ["playwright", "cdp"])
async def test_the_official_playwright_client_drives_a_remote_page(
    platform: Platform, kind: str
) -> None:
    async with async_playwright() as playwright:
        endpoint = f"{platform.url.replace('http', 'ws', 1)}/api/browser/{kind}"
        headers = {"Authorization": f"Bearer {platform.key}"}
        if kind == "cdp":
            browser = await playwright.chromium.connect_over_cdp(endpoint, headers=headers)
        else:
            browser = await playwright.chromium.connect(endpoint, headers=headers)
        page = await (await browser.new_context()).new_page()
        await page.set_content("<button onclick='document.title=\"done\"'>Go</button>")
        await page.get_by_role("button", name="Go").click()
        assert await page.title() == "done"
        await browser.close()


async def test_a_session_is_watched_through_the_ingress(platform: Platform, session: str) -> None:
    address = f"{platform.url.replace('http', 'ws', 1)}{session}/live"
    protocols: Any = ["autobot", f"autobot.key.{platform.key}"]
    async with asyncio.timeout(60), connect(address, subprotocols=protocols, proxy=None) as live:
        kinds = set[str]()
        while not {"picture", "screen", "state"} <= kinds:
            message = await live.recv()
            kinds.add("picture" if isinstance(message, bytes) else json.loads(message)["type"])


def test_a_profile_is_kept_by_room_redis_and_has_one_writer(platform: Platform) -> None:
    with platform.client() as client:
        opened = client.post("/api/browser/sessions", json={"profile": "shop"})
        assert opened.status_code == 201, opened.text
        second = client.post("/api/browser/sessions", json={"profile": "shop"})
        assert second.status_code == 409, second.text
        closed = client.delete(f"/api/browser/sessions/{opened.json()['id']}")
        assert closed.status_code == 204, closed.text
        assert "shop" in client.get("/api/browser/profiles").text
        assert client.delete("/api/browser/profiles/shop").status_code == 204
        assert "shop" not in client.get("/api/browser/profiles").text


def test_extract_by_schema_asks_the_model_with_the_callers_key(platform: Platform) -> None:
    page = "<h1>Blue kettle</h1><p>The price is 42 euro. In stock.</p>"
    price = {"type": "object", "properties": {"price": {"type": "integer"}}, "required": ["price"]}
    with platform.client() as client:
        answer = client.post("/api/browser/extract", json={"html": page, "schema": price})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {"price": 42}


def test_a_task_on_a_blocked_address_ends_with_the_reason(platform: Platform) -> None:
    goal = {"goal": "Read the title.", "start_url": f"http://127.0.0.1:{platform.port('redis')}/"}
    with platform.client() as client:
        task = client.post("/api/browser/tasks?wait=60", json=goal)
        assert task.is_success, task.text
        assert task.json()["state"] == "failed"
        assert task.json()["error"]["type"].endswith("blocked-address")
