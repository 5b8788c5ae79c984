"""How far a fetch is, told while it runs."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report. Sizes are bytes of the finished files; `step` says what happens now."""

    name: str
    done: int
    total: int
    step: str


Report = Callable[[Progress], None]


class Tracker:
    """Adds up finished pieces and downloads under way, so that reports never run backwards."""

    def __init__(self, name: str, total: int, report: Report | None) -> None:
        self._name = name
        self._total = total
        self._report = report
        self._finished = 0
        self._under_way: dict[str, int] = {}
        self._shown = 0

    def finished(self, size: int, step: str) -> None:
        """`size` more bytes are in their place; `step` is what they came from."""
        self._under_way.pop(step, None)
        self._finished += size
        self._tell(step)

    def under_way(self, step: str, received: int, limit: int) -> None:
        """`received` bytes of a download that will yield `limit` bytes have arrived."""
        self._under_way[step] = min(received, limit)
        self._tell(step)

    def restart(self) -> None:
        """Another source begins: what the failed one brought does not count any more."""
        self._finished = 0
        self._under_way.clear()

    def _tell(self, step: str) -> None:
        done = min(self._finished + sum(self._under_way.values()), self._total)
        self._shown = max(self._shown, done)
        if self._report is not None:
            self._report(Progress(self._name, self._shown, self._total, step))
