"""Steady requests from the operator's network while something is broken on purpose.

Run as `python -m tests.cluster.traffic SECONDS URL...`: a few requests a second to each URL, one at
a time, for at most SECONDS or until SIGTERM; then one line of JSON: URL -> [answers, failures,
first failure]. The key comes from the environment (AUTOBOT_API_KEY).
"""

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass

import httpx

PAUSE_S = 0.25
TIMEOUT_S = 5.0


@dataclass
class Seen:
    """What one URL answered; anything but 2xx is a failure."""

    answers: int = 0
    failures: int = 0
    first_failure: str = ""

    def fail(self, why: str, started: float) -> None:
        self.failures += 1
        self.first_failure = self.first_failure or f"{time.monotonic() - started:.1f} s: {why}"


async def send(client: httpx.AsyncClient, url: str, seen: Seen, until: asyncio.Event) -> None:
    started = time.monotonic()
    while not until.is_set():
        try:
            answer = await client.get(url)
            if answer.is_success:
                seen.answers += 1
            else:
                seen.fail(f"{answer.status_code} {answer.text[:120]}", started)
        except httpx.HTTPError as error:
            seen.fail(f"{type(error).__name__} {error}", started)
        await asyncio.sleep(PAUSE_S)


async def main(seconds: float, urls: list[str]) -> None:
    headers = {"Authorization": f"Bearer {os.environ['AUTOBOT_API_KEY']}"}
    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(seconds, until.set)
    loop.add_signal_handler(signal.SIGTERM, until.set)
    found = {url: Seen() for url in urls}
    async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        await asyncio.gather(*(send(client, url, seen, until) for url, seen in found.items()))
    rows = {url: [s.answers, s.failures, s.first_failure] for url, s in found.items()}
    print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2:]))
