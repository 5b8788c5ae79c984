"""Start, first token after a warm start, and memory at rest."""

import json
import time

import psutil

from tests.benchmarks.report import Figure
from tests.platform import Platform


def first_token_s(platform: Platform) -> float:
    """Seconds from the command to the first streamed token: a warm start from cold processes."""
    started = time.perf_counter()
    platform.run("up", "--no-demo", "--json")
    body = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with platform.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as r:
        for line in r.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line[6:])["choices"]
                if choices and choices[0]["delta"].get("content"):
                    break
    return time.perf_counter() - started


def room_of(process: psutil.Process) -> str:
    """The room a process works for; Ray's own daemons are shared by all."""
    for ancestor in (process, *process.parents()):
        title = " ".join(ancestor.cmdline())
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
