"""The fold over a journal."""

from autobot.automation.runs.journal import (
    Answered,
    Created,
    Interrupted,
    Started,
    Waiting,
)
from autobot.automation.runs.state import fold


def test_the_end_of_a_run_that_is_told_before_anybody_waits_for_it_counts() -> None:
    """The worker vanished between the start of the other run and saying that it waits."""
    told = Answered("sub", answer="ended", by="other", output={"run": "other"})
    waits = Waiting("sub", on="run", until=1, detail={"run": "other"})
    before = fold([Created("v"), Started("sub"), told, Interrupted("sub"), Started("sub"), waits])
    after = fold([Created("v"), Started("sub"), waits, told])
    for state in (before, after):
        assert state.places["sub", None].answer == told
    other = Waiting("sub", on="run", until=1, detail={"run": "another"})
    assert fold([Created("v"), Started("sub"), told, other]).places["sub", None].answer is None
