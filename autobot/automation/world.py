"""What checks of a document share: what it may refer to, and how a mistake is said."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

MOST_HINTS = 10
"""Of one document: to find the nearest of 200 names takes up to 15 ms."""

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class World:
    """What a document may refer to: tools, secrets by name, and what other automations call.

    None is unknown, and not checked.
    """

    tools: Collection[str] | None = None
    secrets: Collection[str] | None = None
    calls: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])


@dataclass(frozen=True)
class NoSuch:
    """The mistake of a name that is not there; ``what`` is as in ``step``."""

    what: str
    name: str
    known: Collection[str]

    def message(self, *, hint: bool) -> str:
        """Return the words; with ``hint`` they have the nearest name that is known."""
        message = f"there is no {self.what} {self.name[:60]!r}"
        near = get_close_matches(self.name[:60], list(self.known), 1, 0.5) if hint else ()
        return f"{message}; did you mean {near[0]!r}?" if near else message


Found = Iterator[tuple[Path, str | NoSuch]]


def worded(found: Iterable[tuple[Path, str | NoSuch]]) -> Iterator[tuple[Path, str]]:
    """Yield every mistake in words; the first `MOST_HINTS` names that are not there get hints."""
    hints = MOST_HINTS
    for path, mistake in found:
        if isinstance(mistake, NoSuch):
            yield path, mistake.message(hint=hints > 0)
            hints -= 1
        else:
            yield path, mistake
