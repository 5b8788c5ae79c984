"""Which steps run once a run has failed."""

from graphlib import TopologicalSorter

from autobot.automation.document import Automation
from autobot.automation.graph import edges


def in_order(automation: Automation) -> list[str]:
    """Return the ids of all steps, each after those it needs; the same in every process."""
    needs, names = edges(automation), list(automation.by_id)
    graph = {name: sorted(needs[name], key=names.index) for name in names}
    return list(TopologicalSorter(graph).static_order())


def last_branch(automation: Automation) -> frozenset[str]:
    """Return the automation's handler and what needs it: they run once the run has failed."""
    if automation.on_error in {None, *(step.handler for step in automation.steps)}:
        return frozenset()
    needs, branch = edges(automation), {automation.on_error}
    for name in in_order(automation):
        if branch & needs[name]:
            branch.add(name)
    return frozenset(name for name in branch if name)
