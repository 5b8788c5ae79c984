"""Notices an agent that goes in circles."""

from collections import Counter
from collections.abc import Hashable

TOLD_AFTER = 3
"""As often may one action be taken where everything looks the same; then the model is told."""
TOLD = (
    "You have done `{did}` three times here and nothing came of it. "
    "Do something else, or answer with what you know."
)


class Repeats:
    """Counts how often an action was taken in one and the same situation, in a row or not."""

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()

    def warning(self, situation: Hashable, did: str) -> str:
        """Count ``did`` in ``situation``; what to tell the model, or nothing."""
        self._taken[situation, did] += 1
        return TOLD.format(did=did) if self._taken[situation, did] == TOLD_AFTER else ""

    def stuck(self, situation: Hashable, did: str) -> bool:
        """Whether it was told about ``did`` and wants to do it again."""
        return self._taken[situation, did] >= TOLD_AFTER
