"""ARIA trees that fit a small model: shortened to a budget, and compared with the one before."""

import difflib
import re

LETTERS_PER_TOKEN = 4
"""English text and markup measure 3.5 to 4.5 letters a token with the usual tokenizers."""

ACTIVE = re.compile(
    r"- (button|link|textbox|searchbox|combobox|checkbox|radio|switch|slider|spinbutton|option|"
    r"menuitem\w*|tab|heading|alert|dialog|status|listbox|treeitem)\b"
)
LONG_LINE = 240


def tokens(text: str) -> int:
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
    """Return the lines that went (``-``) and came (``+``); "no change" when none did."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = [line for line in list(lines)[2:] if not line.startswith("@@")]
    return "\n".join(changed) or "no change"
