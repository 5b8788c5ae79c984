"""Deterministic automata over code points: what a string or a number may look like.

A grammar made of one has a single way to read any text, however its pattern was written: that is
what keeps a stranger's ``(a?|b?)`` repeated a hundred times from stopping an engine.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

LAST = 0x10FFFF
MOST_STATES = 2500
"""Of one automaton. A rule each: an engine reads such a grammar in milliseconds."""
MOST_TOGETHER = 20_000
"""States of all automata of one schema: two megabytes of grammar."""
MOST_WORK = 1_000_000
"""Arrows looked at while the automata of one schema are made: about a second."""

Ranges = tuple[tuple[int, int], ...]
"""Code points, as sorted ranges that do not touch; both ends belong to them."""
Edge = tuple[int, int, int]
"""First and last code point, and the state they lead to."""

SURROGATES = (0xD800, 0xDFFF)
ANY: Ranges = ((0, SURROGATES[0] - 1), (SURROGATES[1] + 1, LAST))


class GrammarTooLarge(Exception):
    """It would take more states than an engine should be given."""


class Work:
    """What may still be spent on one schema."""

    def __init__(self, left: int = MOST_WORK, states: int = MOST_TOGETHER) -> None:
        self.left, self.states = left, states

    def spend(self, arrows: int) -> None:
        """Count ``arrows`` as looked at. Raises `GrammarTooLarge` when fewer were left."""
        self.left -= arrows
        if self.left < 0:
            raise GrammarTooLarge

    def add_state(self) -> None:
        """Count one more state. Raises `GrammarTooLarge` when no more are left for this schema."""
        self.states -= 1
        if self.states < 0:
            raise GrammarTooLarge


@dataclass(frozen=True, eq=False)
class Automaton:
    """State 0 begins; the edges of each state are sorted and do not overlap."""

    edges: tuple[tuple[Edge, ...], ...]
    accepts: frozenset[int]

    @property
    def empty(self) -> bool:
        """Whether there is no text at all that it accepts."""
        return not self.accepts

    @property
    def prefix_free(self) -> bool:
        """Whether no accepted text goes on to be another one."""
        return not any(self.edges[state] for state in self.accepts)

    def targets(self, state: int) -> dict[int, Ranges]:
        """Where a state leads, and by which code points."""
        found: dict[int, list[tuple[int, int]]] = {}
        for low, high, target in self.edges[state]:
            found.setdefault(target, []).append((low, high))
        return {target: union(ranges) for target, ranges in found.items()}

    def accepts_text(self, text: str) -> bool:
        """Whether it accepts the whole of ``text``, read from its first character."""
        state = 0
        for letter in map(ord, text):
            edge = next((e for e in self.edges[state] if e[0] <= letter <= e[1]), None)
            if edge is None:
                return False
            state = edge[2]
        return state in self.accepts


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in any order, as `Ranges`."""
    whole: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if whole and low <= whole[-1][1] + 1:
            whole[-1] = (whole[-1][0], max(high, whole[-1][1]))
        else:
            whole.append((low, high))
    return tuple(whole)


def without(ranges: Ranges, less: Ranges) -> Ranges:
    """The code points of ``ranges`` that are not in ``less``."""
    left: list[tuple[int, int]] = []
    for low, high in ranges:
        for first, last in less:
            if first <= high and last >= low:
                if low < first:
                    left.append((low, first - 1))
                low = last + 1
        if low <= high:
            left.append((low, high))
    return tuple(left)


def overlap(one: Ranges, other: Ranges) -> Ranges:
    """The code points that are in both."""
    return without(one, without(((0, LAST),), other))


def explore(
    start: object,
    edges: Callable[[object], Iterable[tuple[int, int, object]]],
    accepts: Callable[[object], bool],
    work: Work,
) -> Automaton:
    """The automaton of all states that are reached from ``start`` and can still end well."""
    numbers: dict[object, int] = {start: 0}
    ahead: list[object] = [start]
    found: list[list[Edge]] = []
    for state in ahead:  # it grows while it is read
        row: list[Edge] = []
        for low, high, target in edges(state):
            if target not in numbers:
                if len(numbers) >= MOST_STATES:
                    raise GrammarTooLarge
                work.add_state()
                numbers[target] = len(numbers)
                ahead.append(target)
            row.append((low, high, numbers[target]))
        work.spend(len(row))
        found.append(row)
    return _trimmed(found, {numbers[state] for state in ahead if accepts(state)})


def _trimmed(edges: Sequence[Sequence[Edge]], accepts: set[int]) -> Automaton:
    """Without the states from which nothing is accepted: there a model would be stuck."""
    sources: dict[int, list[int]] = {}
    for state, row in enumerate(edges):
        for _, _, target in row:
            sources.setdefault(target, []).append(state)
    alive, ahead = set(accepts), list(accepts)
    while ahead:
        for source in sources.get(ahead.pop(), ()):
            if source not in alive:
                alive.add(source)
                ahead.append(source)
    kept = [state for state in range(len(edges)) if state in alive or state == 0]
    numbers = {state: number for number, state in enumerate(kept)}
    rows = (
        tuple(
            (low, high, numbers[target])
            for low, high, target in sorted(edges[state])
            if target in alive
        )
        for state in kept
    )
    return Automaton(tuple(rows), frozenset(numbers[state] for state in accepts))


def together(one: Automaton, other: Automaton, work: Work, *, minus: bool = False) -> Automaton:
    """What both accept; with ``minus`` what the first does and the other does not."""

    def edges(state: object) -> Iterable[tuple[int, int, object]]:
        first, second = state  # pyright: ignore
        row = other.edges[second] if second is not None else ()
        work.spend(len(one.edges[first]) + len(row))
        for low, high, target in one.edges[first]:
            for start, end, beside in _cut(low, high, row):
                if beside is not None or minus:
                    yield start, end, (target, beside)

    def accepts(state: object) -> bool:
        first, second = state  # pyright: ignore
        return first in one.accepts and (second in other.accepts) != minus

    return explore((0, 0), edges, accepts, work)


def _cut(low: int, high: int, row: Sequence[Edge]) -> Iterable[tuple[int, int, int | None]]:
    """One range, in pieces that lead to one state each, or to none."""
    for first, last, target in row:
        if last < low or first > high:
            continue
        if low < first:
            yield low, first - 1, None
        yield max(low, first), min(high, last), target
        low = last + 1
    if low <= high:
        yield low, high, None


def counted(least: int, most: int | None, work: Work) -> Automaton:
    """Any text of so many characters."""
    end = least if most is None else most

    def edges(state: object) -> Iterable[tuple[int, int, object]]:
        count = int(state)  # pyright: ignore
        if most is None or count < end:
            for low, high in ANY:
                yield low, high, min(count + 1, end)

    return explore(0, edges, lambda state: int(state) >= least, work)  # pyright: ignore


def words(texts: Iterable[str], work: Work) -> Automaton:
    """Exactly these texts; common beginnings are shared."""
    tree: list[dict[int, int]] = [{}]
    ends: set[int] = set()
    for text in texts:
        state = 0
        for letter in map(ord, text):
            if letter not in tree[state]:
                if len(tree) >= MOST_STATES:
                    raise GrammarTooLarge
                work.add_state()
                tree[state][letter] = len(tree)
                tree.append({})
            state = tree[state][letter]
        ends.add(state)
    return _trimmed([[(c, c, t) for c, t in row.items()] for row in tree], ends)


def from_closures(
    start: frozenset[int],
    moves: Mapping[int, Sequence[tuple[Ranges, int]]],
    closure: Callable[[frozenset[int]], frozenset[int]],
    accepts: Callable[[frozenset[int]], bool],
    work: Work,
) -> Automaton:
    """The subset construction: each state is a set of another automaton's states."""

    def edges(state: object) -> Iterable[tuple[int, int, object]]:
        arrows = [arrow for one in state for arrow in moves.get(one, ())]  # pyright: ignore
        bounds = sorted({p for ranges, _ in arrows for a, b in ranges for p in (a, b + 1)})
        work.spend(len(state) + len(arrows) * len(bounds))  # pyright: ignore
        for low, after in pairwise(bounds):
            hit = frozenset(
                target for ranges, target in arrows if any(a <= low <= b for a, b in ranges)
            )
            if hit:
                yield low, after - 1, closure(hit)

    return explore(start, edges, lambda state: accepts(state), work)  # pyright: ignore
