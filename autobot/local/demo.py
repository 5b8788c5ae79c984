"""The main job once, on real input: talk, embed, render a page and read it back."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from autobot.client import Client
from autobot.errors import AutoBotError

PAGE = """<!doctype html><meta charset="utf-8"><title>AutoBot</title>
<body style="margin:0;font:700 64px sans-serif;background:#fff;color:#111">
<p style="margin:40px">{text}</p></body>"""
PAGE_TEXT = "Six rooms one cluster"
QUESTION = "In one short sentence: what is a Ray cluster?"


@dataclass(frozen=True)
class Shown:
    """One thing the platform did, where it ran, and how long it took from the client's side."""

    what: str
    room: str
    device: str
    milliseconds: float
    result: str


async def show_chat(client: Client) -> AsyncIterator[Shown]:
    """What room llm alone can do: at a first start it serves before the others."""
    yield await _chat(client)


async def show_other_rooms(client: Client) -> AsyncIterator[Shown]:
    """Yield an embedding, a screenshot, and what OCR reads on that screenshot.

    Raises AutoBotError when OCR does not read the words of the page, else as `Client.request`.
    """
    yield await _embedding(client)
    for shown in await _read_page(client):
        yield shown


async def _chat(client: Client) -> Shown:
    started = time.perf_counter()
    first: float | None = None
    words: list[str] = []
    ran: dict[str, str] = {}
    async for chunk in client.chat([{"role": "user", "content": QUESTION}], max_tokens=48):
        ran = chunk.ran
        for choice in chunk.body.get("choices", []):
            text = choice["delta"].get("content") or ""
            if text and first is None:
                first = time.perf_counter() - started
            words.append(text)
    if first is None:
        raise AutoBotError("The chat model answered nothing.")
    result = f"first token after {first * 1000:.0f} ms: {''.join(words).strip()}"
    return Shown("chat", *_place(ran), (time.perf_counter() - started) * 1000, result)


async def _embedding(client: Client) -> Shown:
    started = time.perf_counter()
    body = {"model": "default", "input": QUESTION}
    answer = await client.request("POST", "/v1/embeddings", json=body)
    took = (time.perf_counter() - started) * 1000
    vector = answer.body["data"][0]["embedding"]
    result = f"{len(vector)} dimensions from {answer.body['model']}"
    return Shown("embedding", *_place(answer.ran), took, result)


async def _read_page(client: Client) -> list[Shown]:
    started = time.perf_counter()
    page = {"html": PAGE.format(text=PAGE_TEXT), "width": 1000, "height": 240}
    picture = await client.request("POST", "/api/browser/screenshot", json=page)
    rendered = time.perf_counter()
    read = await client.request("POST", "/api/ocr", files={"file": ("page.png", picture.body)})
    done = time.perf_counter()
    text = read.body["text"]
    if not set(PAGE_TEXT.lower().split()) <= set(text.lower().split()):
        raise AutoBotError(f"OCR read {text!r} on a page that says {PAGE_TEXT!r}.")
    size = f"{len(picture.body):,} bytes of PNG"
    return [
        Shown("screenshot", *_place(picture.ran), (rendered - started) * 1000, size),
        Shown("ocr", *_place(read.ran), (done - rendered) * 1000, f"read {text!r}"),
    ]


def _place(ran: dict[str, str]) -> tuple[str, str]:
    return ran.get("room", "?"), ran.get("device", "?")
