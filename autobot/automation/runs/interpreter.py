"""What a run does next: a pure function of its automation, its state and the time.

The graph is interpreted and never replayed. A decision is entries for the journal; an attempt may
begin once its `Started` is written. So a worker that vanishes leaves nothing behind but a
`Started` without a result, and the next one sees that it is not ``in_flight``.
"""

from autobot.automation.runs.decisions import Decision, end
from autobot.automation.runs.journal import Place
from autobot.automation.runs.plan import Plan
from autobot.automation.runs.state import RunState
from autobot.automation.runs.walk import Walk

RESERVE = 100
"""Entries past the journal's limit, for the automation's handler to say that it is full."""


class Interpreter(Plan):
    """Decides for every run of one version."""

    def decide(
        self, state: RunState, now: int, in_flight: frozenset[Place] = frozenset()
    ) -> Decision:
        """Return what to write and to begin. ``in_flight`` is what this worker executes."""
        if state.ended:
            return Decision(state=state.ended.state)
        if state.cancelled:
            return Decision(stop=in_flight) if in_flight else end(state, now, "cancelled")
        most = self.automation.limits.journal
        full = {"type": "journal-full", "detail": f"A journal has at most {most} entries."}
        if state.seq >= most + RESERVE:
            return Decision(stop=in_flight) if in_flight else end(state, now, "failed", full)
        return Walk(self, state, now, in_flight).decide(full if state.seq >= most else None)
