"""Start, first token after a warm start, and memory at rest."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from tests.benchmarks.report import Figure
from tests.platform import UP_DEADLINE_S, Platform
from tests.processes import command_of


def first_token_s(platform: Platform) -> tuple[float, float]:
    """Seconds from the command to the first streamed token, and until every room is ok.

    A warm start from cold processes: a client that asks again and again from the beginning.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        ready = pool.submit(platform.run, "up", "--no-demo", "--json")
        while not _streams_a_token(platform):
            if ready.done():
                ready.result()
            assert time.perf_counter() - started < UP_DEADLINE_S, "no token"
            time.sleep(0.2)
        first = time.perf_counter() - started
        ready.result()
    return first, time.perf_counter() - started


def _streams_a_token(platform: Platform) -> bool:
    body = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    try:
        with (
            platform.client() as client,
            client.stream("POST", "/v1/chat/completions", json=body) as answer,
        ):
            if answer.status_code != 200:
                return False
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        return True
    except httpx.TransportError:
        pass
    return False


def room_of(process: psutil.Process) -> str:
    """The room a process works for; Ray's own daemons are shared by all."""
    for ancestor in (process, *process.parents()):
        title = " ".join(command_of(ancestor))
        if title.startswith("ray::ServeReplica:"):
            return title.split(":")[3].split("-")[0]
        if "redis-server" in title:
            return "redis"
        if any(word in title for word in ("Xtigervnc", "openbox", "websockify", "xterm")):
            return "desktop"
    return "ray and serve"


def memory_at_rest(platform: Platform) -> list[Figure]:
    """Proportional set size: a page shared by n processes counts 1/n in each."""
    total: dict[str, int] = {}
    for process in platform.processes():
        try:
            room = room_of(process)
            total[room] = total.get(room, 0) + process.memory_full_info().pss
        except psutil.Error:
            continue
    return [
        Figure(f"memory at rest, {room}", size / 2**20, None, "MiB (PSS)")
        for room, size in sorted(total.items())
    ]
