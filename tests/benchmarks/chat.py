"""Chat through the platform against llama.cpp called directly, with the same model and settings."""

import json
import queue
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.report import Figure, median
from tests.platform import Platform

ROUNDS = 5
TOGETHER = 4
TOGETHER_ROUNDS = 3
TOKENS = 96
PROMPT = "Write a story of several paragraphs about a lighthouse keeper who owns {n} boats."


@dataclass(frozen=True)
class Timed:
    """Tokens per second after the first, seconds until the first, and how many there were."""

    rate: float
    first_s: float
    tokens: int


def timed(stamps: list[float], started: float, tokens: int) -> Timed:
    return Timed((tokens - 1) / (stamps[-1] - stamps[0]), stamps[0] - started, tokens)


def body(number: int) -> dict[str, Any]:
    message = {"role": "user", "content": PROMPT.format(n=number)}
    return {
        "messages": [message],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


class Direct:
    """The engine in this process: no HTTP, no socket, a callback for each chunk."""

    def __init__(self, model: Path, context: int, slots: int, threads: int) -> None:
        import xllamacpp

        llama: Any = xllamacpp
        params = llama.CommonParams()
        params.model.path = str(model)
        params.n_ctx, params.n_parallel = context * slots, slots
        params.kv_unified = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib = 0
        params.verbosity = 1
        self._server = llama.Server(params)

    def chat(self, number: int) -> Timed:
        stamps: list[float] = []
        usage: queue.SimpleQueue[int] = queue.SimpleQueue()

        def receive(chunk: Any) -> None:
            text = chunk if isinstance(chunk, str) else json.dumps(chunk)
            parts = json.loads(text)
            for part in parts if isinstance(parts, list) else [parts]:
                _note(part, stamps, usage)

        started = time.perf_counter()
        self._server.handle_chat_completions(json.dumps(body(number)), receive)
        return timed(stamps, started, usage.get_nowait())


def _note(part: dict[str, Any], stamps: list[float], usage: "queue.SimpleQueue[int]") -> None:
    if any(c.get("delta", {}).get("content") for c in part.get("choices", [])):
        stamps.append(time.perf_counter())
    if part.get("usage"):
        usage.put(part["usage"]["completion_tokens"])


def through(platform: Platform, client: httpx.Client, number: int) -> Timed:
    stamps: list[float] = []
    usage: queue.SimpleQueue[int] = queue.SimpleQueue()
    started = time.perf_counter()
    request = body(number) | {"model": "default"}
    with client.stream("POST", "/v1/chat/completions", json=request) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                _note(json.loads(line[6:]), stamps, usage)
    return timed(stamps, started, usage.get_nowait())


def together(chat: Callable[[int], Timed], first: int) -> float:
    """Tokens per second of several chats at once, reading their prompts included."""
    started = time.perf_counter()
    with ThreadPoolExecutor(TOGETHER) as pool:
        tokens = sum(done.tokens for done in pool.map(chat, range(first, first + TOGETHER)))
    return tokens / (time.perf_counter() - started)


def measure(
    platform: Platform, model: Path, context: int, slots: int, threads: int
) -> list[Figure]:
    direct = Direct(model, context, slots, threads)
    direct.chat(1)
    floors: list[Timed] = []
    found: list[Timed] = []
    with platform.client() as client:
        through(platform, client, 2)
        for number in range(10, 10 + ROUNDS):
            floors.append(direct.chat(number))
            found.append(through(platform, client, number))
        crowds = [
            (
                together(direct.chat, 100 + 10 * turn),
                together(lambda n: through(platform, client, n), 100 + 10 * turn),
            )
            for turn in range(TOGETHER_ROUNDS)
        ]
    rate, floor = median([t.rate for t in found]), median([t.rate for t in floors])
    crowd, crowd_floor = median([c for _, c in crowds]), median([f for f, _ in crowds])
    added = median([(t.first_s - f.first_s) * 1000 for t, f in zip(found, floors, strict=True)])
    return [
        Figure("chat", rate, floor, "tokens/s", ">= 0.95", model.name),
        Figure(f"chat, {TOGETHER} at once", crowd, crowd_floor, "tokens/s", ">= 0.95"),
        Figure("chat, added to first token", added, None, "ms", "<= 15 ms"),
        Figure("chat, first token", median([t.first_s * 1000 for t in found]), None, "ms"),
    ]


if __name__ == "__main__":
    sys.exit("run `make bench`")
