"""Runs that are under way while a VM is away: all end, and nothing recorded is done again."""

import json
from collections import Counter
from collections.abc import Sequence

from tests.cluster.lab.lab import ROOMS
from tests.cluster.sixvms import SixVms, wait_for

MANY = 50
RETRY = {"attempts": 10, "wait": 1, "longest_wait": 30}
"""Together two and a half minutes: more than any room is away here."""
PAGE = {"html": "<main><p>Still there?</p></main>", "whole": True}
STEPS = [
    {"id": "first", "use": "npu.embed", "with": {"texts": ["one"]}, "retry": RETRY},
    {"id": "pause", "use": "wait", "with": {"seconds": 6}},
    {"id": "page", "use": "browser.markdown", "with": PAGE, "retry": RETRY},
    {"id": "again", "use": "wait", "with": {"seconds": 12}},
    {"id": "last", "use": "npu.embed", "with": {"texts": ["two"]}, "retry": RETRY},
]


class OutageRuns:
    """`MANY` runs of one automation, begun now."""

    def __init__(self, cluster: SixVms, name: str) -> None:
        self._cluster, self._name = cluster, name
        limits = {"parallel": MANY}
        document = {"name": name, "mode": "parallel", "limits": limits, "steps": STEPS}
        status, body = cluster.posted("/api/automations", document)
        assert status in (201, 409), body
        status, body = cluster.posted(f"/api/automations/{name}/publish", {})
        assert status == 200, body
        self.ids = [self._start() for _ in range(MANY)]

    def _start(self) -> str:
        return self._cluster.post(f"/api/automations/{self._name}/runs", {})["id"]

    def assert_each_step_was_recorded_once(self, within_s: float) -> None:
        """Wait until all have ended, and read their journals."""
        wait_for(self._have_all_ended, within_s, lambda: str(self._states()))
        states = self._states()
        assert states == {"succeeded": MANY}, states
        for run in self.ids:
            kinds = self._journal(run)
            for step in STEPS:
                done = kinds.index(f"succeeded {step['id']}")
                assert f"started {step['id']}" not in kinds[done:], (run, kinds)
                assert kinds.count(f"succeeded {step['id']}") == 1, (run, kinds)

    def _url(self, path: str) -> str:
        return f"http://{ROOMS['main']}:8001{path}"

    def _states(self) -> Counter[str]:
        path = f"/api/automations/{self._name}/runs?limit=1000"
        status, body = self._cluster.get(self._url(path))
        runs = json.loads(body) if status == 200 else []
        return Counter(run["state"] for run in runs if run["id"] in self.ids)

    def _have_all_ended(self) -> bool:
        states = self._states()
        return states["succeeded"] + states["failed"] + states["cancelled"] == MANY

    def _journal(self, run: str) -> Sequence[str]:
        """Each entry's kind, and the step that it is about."""
        status, body = self._cluster.get(self._url(f"/api/runs/{run}/events?follow=false"))
        assert status == 200, body
        lines = [line.removeprefix("data: ") for line in body.splitlines() if "data: " in line]
        entries = [json.loads(line) for line in lines]
        return [f"{entry['kind']} {entry.get('step', '')}".strip() for entry in entries]
