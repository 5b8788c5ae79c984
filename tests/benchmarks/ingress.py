"""The ingress against the same FastAPI application under plain uvicorn, loaded by wrk."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.benchmarks.report import Figure, median
from tests.platform import Platform, free_ports

SECONDS = 4
ROUNDS = 3
PATH = "/"
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

BARE = """
import sys, uvicorn
from fastapi import APIRouter
from autobot.keys import KeyRing
from autobot.web.app import create_app
router = APIRouter()
@router.get("/")
async def root():
    return {"name": "AutoBot", "version": "0", "docs": "/docs", "health": "/api/health"}
app = create_app("main", [router], KeyRing(None))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""


@dataclass(frozen=True)
class Load:
    """Requests per second, and the median latency in milliseconds."""

    rate: float
    p50_ms: float


def wrk(url: str, connections: int, script: Path | None = None) -> Load:
    """Load ``url`` for a few seconds; a Lua ``script`` says what is sent. Raises on any non-2xx."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", url]
    if script is not None:
        command[1:1] = ["-s", str(script)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", said)
    if rate is None or p50 is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk failed:\n{said}")
    return Load(float(rate[1]), float(p50[1]) * UNITS[p50[2]])


@contextmanager
def bare_uvicorn() -> Iterator[str]:
    port = free_ports(1)[0]
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)])
    url = f"http://127.0.0.1:{port}{PATH}"
    try:
        for _ in range(200):
            try:
                httpx.get(url)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def measure(platform: Platform) -> list[Figure]:
    figures: list[Figure] = []
    with bare_uvicorn() as bare:
        for connections in (1, 32):
            # Alternating: what else the machine does then hits both alike.
            rounds = [
                (wrk(bare, connections), wrk(f"{platform.url}{PATH}", connections))
                for _ in range(ROUNDS)
            ]
            floor = median([bare_load.rate for bare_load, _ in rounds])
            rate = median([load.rate for _, load in rounds])
            name = f"ingress no-op, {connections} conn"
            figures.append(Figure(name, rate, floor, "requests/s", ">= 0.25"))
            if connections == 1:
                added = median([load.p50_ms - bare_load.p50_ms for bare_load, load in rounds])
                figures.append(Figure("ingress added p50", added, None, "ms", "<= 1 ms"))
    return figures
