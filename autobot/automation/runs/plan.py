"""What a run needs to know of its automation, computed once for all runs of a version."""

from collections.abc import Callable

from autobot.automation.document import Automation, OnUnknown, Step
from autobot.automation.errors import InvalidExpression
from autobot.automation.expressions import Reference, reads_item, references
from autobot.automation.graph import edges
from autobot.automation.runs.handling import in_order, last_branch
from autobot.automation.runs.results import result_of
from autobot.automation.runs.state import PlaceState, RunState


class Plan:
    """An automation's steps in order, and what each of them waits for and reads."""

    def __init__(
        self,
        automation: Automation,
        on_unknown: Callable[[str], OnUnknown] = lambda use: "ask",
    ) -> None:
        """``on_unknown`` is a tool's own, for steps that do not say."""
        self.automation = automation
        self.needs = edges(automation)
        self.by_id = automation.by_id
        self.order = [self.by_id[name] for name in in_order(automation)]
        self.handles = {
            step.id: frozenset(n for n in self.needs[step.id] if self.by_id[n].handler == step.id)
            for step in self.order
        }
        self.last_branch = last_branch(automation)
        self.asks_each = frozenset(
            step.id for step in self.order if step.for_each and _reads_item(step)
        )
        """Loops whose ``if`` is asked for each item."""
        self._reads = {step.id: _steps_read(step) for step in self.order}
        self.secrets_of = {step.id: _named(step.arguments, "secrets") for step in self.order}
        """Names of the secrets that a step is given."""
        self.secrets = frozenset[str]().union(*self.secrets_of.values())
        self._on_unknown = on_unknown

    def policy(self, step: Step) -> OnUnknown:
        """What to do about an attempt without a result."""
        return step.on_unknown or self._on_unknown(step.use)

    def blobs_read(self, state: RunState) -> list[PlaceState]:
        """Return the places with a large result that a step which is not over may read."""
        read: set[str] = set()
        for step in self.order:
            if result_of(state, step, False) is None:
                read |= self._reads[step.id]
        return [known for (step, _), known in state.places.items() if known.blob and step in read]


def _references(value: object) -> frozenset[Reference]:
    """What cannot be read fails its step when it is evaluated, and not the whole run here."""
    try:
        return references(value)
    except InvalidExpression:
        return frozenset()


def _reads_item(step: Step) -> bool:
    try:
        return reads_item(step.condition)
    except InvalidExpression:
        return False


def _steps_read(step: Step) -> frozenset[str]:
    items = step.for_each.items if step.for_each else None
    return _named([step.arguments, step.condition, items], "steps")


def _named(value: object, root: str) -> frozenset[str]:
    return frozenset(of.path[0] for of in _references(value) if of.root == root)
