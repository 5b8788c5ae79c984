"""ARIA trees that fit a small model: shortened to a budget, and compared with the one before."""

import re
from bisect import bisect_left
from collections import Counter

LETTERS_PER_TOKEN = 4
"""English text and markup measure 3.5 to 4.5 letters a token with the usual tokenizers."""

ACTIVE = re.compile(
    r"- (button|link|textbox|searchbox|combobox|checkbox|radio|switch|slider|spinbutton|option|"
    r"menuitem\w*|tab|heading|alert|dialog|status|listbox|treeitem)\b"
)
LONG_LINE = 240
MOST_LETTERS = 4 << 20
"""Of a tree; what a page has beyond is not looked at."""


def bounded(tree: str) -> tuple[str, int]:
    """Return ``tree`` within `MOST_LETTERS`, and how many of its lines were left out."""
    if len(tree) <= MOST_LETTERS:
        return tree, 0
    end = max(tree.rfind("\n", 0, MOST_LETTERS), 0)
    return tree[:end], tree.count("\n", end)


def tokens(text: str) -> int:
    """Estimate the tokens of ``text``, rounded up; no tokenizer is asked."""
    return -(-len(text) // LETTERS_PER_TOKEN)


def fit(tree: str, budget: int) -> tuple[str, int]:
    """Return ``tree`` within ``budget`` tokens, and how many of its lines were left out.

    Long texts are cut first. Then lines that can be acted on or that head something stay before
    lines of plain text, in the page's order; what stays keeps its indentation.
    """
    lines = [_cut(line) for line in tree.splitlines()]
    room = budget * LETTERS_PER_TOKEN
    if sum(len(line) + 1 for line in lines) <= room:
        return "\n".join(lines), 0
    room -= 40  # for the mark below
    kept: set[int] = set()
    ranked = sorted(range(len(lines)), key=lambda number: not ACTIVE.search(lines[number]))
    for number in ranked:
        size = len(lines[number]) + 1
        if size <= room:
            kept.add(number)
            room -= size
    left_out = len(lines) - len(kept)
    shown = [lines[number] for number in sorted(kept)]
    return "\n".join([*shown, f"# {left_out} more lines left out"]), left_out


def _cut(line: str) -> str:
    return line if len(line) <= LONG_LINE else f"{line[:LONG_LINE]}..."


def difference(before: str, after: str) -> str:
    """Return the lines that went (``-``) and came (``+``); "no change" when none did.

    Lines that each side has once, in the same order, are taken as the same (a patience diff), and
    with them their equal neighbours. That takes n log n steps; the least possible difference takes
    n squared, and a page chooses n.
    """
    old, new = before.splitlines(), after.splitlines()
    changed: list[str] = []
    at_old = at_new = 0
    for next_old, next_new in [*_anchors(old, new), (len(old), len(new))]:
        went, came = old[at_old:next_old], new[at_new:next_new]
        same = _common(went, came)
        went, came = went[same:], came[same:]
        end = _common(went[::-1], came[::-1])
        changed += [f"-{line}" for line in went[: len(went) - end]]
        changed += [f"+{line}" for line in came[: len(came) - end]]
        at_old, at_new = next_old + 1, next_new + 1
    return "\n".join(changed) or "no change"


def _common(one: list[str], other: list[str]) -> int:
    """How many lines both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _anchors(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Where lines stand that both have once: as many as are in the same order in both."""
    once_old, once_new = _once(old), _once(new)
    pairs = [(at, once_new[line]) for line, at in once_old.items() if line in once_new]
    # The longest rising sequence of places in `new`, by the ends of the best ones of each length.
    ends: list[int] = []
    best: list[int] = []
    before: list[int | None] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        ends[length : length + 1] = [place]
        best[length : length + 1] = [number]
        before.append(best[length - 1] if length else None)
    chain: list[tuple[int, int]] = []
    number = best[-1] if best else None
    while number is not None:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _once(lines: list[str]) -> dict[str, int]:
    """The place of each line that there is only one of, in their order."""
    count = Counter(lines)
    return {line: place for place, line in enumerate(lines) if count[line] == 1}
