"""An automation through the command line and the ingress, with the tools of real rooms."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx

from tests.platform import Platform

WITHIN_S = 90

DOCUMENT = """\
name: brief
inputs:
  text: {type: string, default: Cats are small animals.}
steps:
  - id: page
    use: browser.markdown
    with: {html: "<main><h1>News</h1><p>${{ inputs.text }}</p></main>", whole: true}
  - id: meaning
    use: npu.embed
    with: {texts: ["${{ steps.page.markdown }}"]}
  - id: ok
    use: approve
    with: {message: "Go on with ${{ steps.page.markdown }}?"}
  - id: answer
    if: ${{ steps.ok.approved }}
    use: llm.chat
    with: {prompt: "Say hello.", max_tokens: 8}
"""


def reach(http: httpx.Client, run: str, state: str) -> dict[str, Any]:
    """The run once it is in ``state``; also while room main comes back."""
    ends = time.monotonic() + WITHIN_S
    while time.monotonic() < ends:
        try:
            answer = http.get(f"/api/runs/{run}")
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == 200 and answer.json()["state"] == state:
            return answer.json()
        time.sleep(0.3)
    raise AssertionError(f"{run} is not {state}: {answer and answer.text}")


def test_an_automation_is_applied_approved_and_outlives_its_engine(
    platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "brief.yaml"
    file.write_text(DOCUMENT)
    assert "brief is on" in platform.run("automation", "apply", "--yes", str(file)).stdout
    run = platform.run("run", "brief", "--input", "text=Dogs bark.").stdout.strip()
    with platform.client() as http:
        waiting = reach(http, run, "waiting")
        assert "Dogs bark." in waiting["steps"]["page"]["output"]["markdown"]
        assert len(waiting["steps"]["meaning"]["output"]["embeddings"][0]) == 384
        before = http.get(f"/api/runs/{run}/events?follow=false").text
        for replica in platform.replicas()["main"]:
            os.kill(replica, signal.SIGKILL)
        platform.wait_until_ok(WITHIN_S)
        assert "approved" in platform.run("runs", "approve", run, "ok").stdout
        ended = reach(http, run, "succeeded")
        assert ended["steps"]["answer"]["output"]["text"]
        assert http.get(f"/api/runs/{run}/events?follow=false").text.startswith(before)
    assert "brief" in platform.run("automation", "list").stdout
    platform.run("automation", "rm", "brief")
