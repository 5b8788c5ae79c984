"""`use: call`: a step that starts a run of another automation and waits for its end."""

from typing import Any

from pydantic import Field, JsonValue

from autobot.automation.runs.attempts import WaitFor, Work
from autobot.automation.runs.journal import Answered, dumps, encode
from autobot.automation.runs.state import RunState
from autobot.contracts.runs import LONGEST_INLINE, Run
from autobot.errors import Conflict
from autobot.tools.tool import Arguments, read_arguments
from deployments.main.automation.starts import MOST_DEPTH, Starts, Trigger, run_name


class CallArguments(Arguments):
    """What the step is given."""

    automation: str
    inputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class Calls:
    """Starts runs for steps, and tells a step when its run has ended."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts

    async def start(self, work: Work) -> WaitFor:
        """Start the run that belongs to this step: the same one for each of its attempts.

        Raises as `Starts.start`, and `Conflict` for runs that go on calling each other.
        """
        given = read_arguments(CallArguments, work.arguments)
        run = run_name(given.automation, "call", work.key)
        if await self._starts.runs.get(run):
            return WaitFor(run)
        parent = await self._starts.beginning(work.run)
        depth = parent.depth + 1 if parent else 1
        if depth > MOST_DEPTH:
            raise Conflict(f"At most {MOST_DEPTH} runs call each other.")
        step, iteration = work.place
        await self._starts.start(
            given.automation,
            run,
            given.inputs,
            Trigger("call", facts={"run": work.run}),
            parent={"run": work.run, "step": step, "iteration": iteration},
            depth=depth,
        )
        return WaitFor(run)

    async def ended(self, run: Run, state: RunState) -> None:
        """Tell the step that waits for ``run``, and end the runs that its own steps wait for."""
        created = state.created
        if created and created.parent:
            parent = created.parent
            answer = _answer(parent["step"], parent["iteration"], run, state)
            await self._starts.runs.ask(parent["run"], f"end-{run.id}", encode(answer), "answer")
        for place in state.places.values():
            if place.waiting and place.waiting.on == "run":
                await self._starts.cancel(str(place.waiting.detail["run"]))


def _answer(step: str, iteration: int | None, run: Run, state: RunState) -> Answered:
    output = {"run": run.id, "steps": outputs(state)}
    kind, detail = f"run-{run.state}", f"The run {run.id} of '{run.automation}' was {run.state}."
    if state.ended and state.ended.error:
        detail = f"{detail} {state.ended.error.get('detail', '')}".rstrip()
    too_long = len(dumps(output)) > LONGEST_INLINE
    if too_long and run.state == "succeeded":
        kind = "too-large"
        detail = f"The results of the run {run.id} have more than {LONGEST_INLINE} bytes together."
    if run.state != "succeeded" or too_long:
        error = {"type": kind, "detail": detail}
        return Answered(step, iteration, "ended", run.id, error=error)
    return Answered(step, iteration, "ended", run.id, output=output)


def outputs(state: RunState) -> dict[str, Any]:
    """The result of each step that has one, a loop's as a list; those in blobs are left out."""
    results: dict[str, Any] = {}
    for (step, number), place in state.places.items():
        if place.status != "succeeded" or place.blob:
            continue
        if number is None:
            results[step] = place.output
        else:
            items = results.setdefault(step, [None] * len(state.items[step]))
            items[number] = place.output
    return results
