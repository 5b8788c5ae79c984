"""The main job on real input: real model, real OpenVINO, real Chromium, real Redis."""

import json

import openai
import pytest

from tests.platform import Platform


def test_chat_streams_from_the_real_model_and_says_where_it_ran(platform: Platform) -> None:
    body = {
        "model": "default",
        "messages": [{"role": "user", "content": "Say hello in one word."}],
        "stream": True,
        "max_tokens": 16,
        "stream_options": {"include_usage": True},
    }
    with platform.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as r:
        assert r.status_code == 200
        assert r.headers["x-autobot-room"] == "llm"
        assert r.headers["x-autobot-device"]
        events = [line[6:] for line in r.iter_lines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(c["delta"].get("content") or "" for k in chunks for c in k["choices"])
    assert text.strip()
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_official_openai_client_chats_embeds_and_lists_models(platform: Platform) -> None:
    client = openai.OpenAI(base_url=f"{platform.url}/v1", api_key=platform.key)
    answer = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "2+2="}], max_tokens=8
    )
    assert answer.choices[0].message.content
    assert any(model.id == answer.model for model in client.models.list())
    vectors = client.embeddings.create(model="default", input=["a cat", "a kitten", "tax law"]).data
    cat, kitten, law = (v.embedding for v in vectors)

    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert dot(cat, kitten) > dot(cat, law) + 0.05
    assert dot(cat, cat) == pytest.approx(1, abs=1e-3)


def test_a_rendered_page_is_read_back_by_ocr(platform: Platform) -> None:
    html = "<body style='font:700 60px sans-serif;background:#fff'>Invoice 4711 paid</body>"
    with platform.client() as client:
        picture = client.post("/api/browser/screenshot", json={"html": html})
        assert picture.headers["content-type"] == "image/png"
        read = client.post("/api/ocr", files={"file": ("page.png", picture.content)})
    assert read.status_code == 200, read.text
    assert "4711" in read.json()["text"]
    assert read.headers["x-autobot-room"] == "npu"


def test_pdf_comes_back(platform: Platform) -> None:
    with platform.client() as client:
        answer = client.post("/api/browser/pdf", json={"html": "<h1>Report</h1>"})
    assert answer.content.startswith(b"%PDF-")


def test_the_platforms_own_services_are_out_of_the_browsers_reach(platform: Platform) -> None:
    for port in ("http", "redis", "dashboard"):
        with platform.client() as client:
            url = f"http://127.0.0.1:{platform.port(port)}/"
            answer = client.post("/api/browser/screenshot", json={"url": url})
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"].endswith("blocked-address")


def test_each_room_answers_health_on_its_own_port(platform: Platform) -> None:
    import httpx

    for room in ("npu", "llm", "browser"):
        answer = httpx.get(f"http://127.0.0.1:{platform.port(room)}/health", timeout=10)
        assert answer.json() == {"room": room, "state": "ok"}
    page = httpx.get(f"http://127.0.0.1:{platform.port('frontend')}/", timeout=10)
    assert "<div id=" in page.text


def test_rooms_serve_their_own_paths_on_their_own_port(platform: Platform) -> None:
    import httpx

    headers = {"Authorization": f"Bearer {platform.key}"}
    base = f"http://127.0.0.1:{platform.port('npu')}"
    body = {"model": "default", "input": "hello"}
    direct = httpx.post(f"{base}/v1/embeddings", json=body, headers=headers, timeout=30)
    with platform.client() as client:
        through = client.post("/v1/embeddings", json=body)
    assert direct.json()["data"] == through.json()["data"]
    assert httpx.post(f"{base}/v1/embeddings", json=body, timeout=30).status_code == 401
