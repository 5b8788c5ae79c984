"""What spends or destroys is pressed only when the goal, or the person, speaks of it.

A small model that does not know how to go on presses what there is, "Order now" as well. English
words only: a guard against that mistake, and no permission system.
"""

import re

SPENDING = ("order", "buy", "purchase", "pay", "checkout", "donate", "subscribe")
DESTROYING = ("delete", "erase", "unsubscribe", "deactivate")
REFUSAL = "not done: nobody asked to {word} anything; ask the person if it is needed"
WORD = re.compile(r"[a-z]+")


def uncalled_for(pressed: str, asked: str) -> str | None:
    """The word of a button's name that commits its owner to what ``asked`` says nothing of."""
    wishes = _words(asked)
    for kind in (SPENDING, DESTROYING):
        named = [word for word in kind if word in _words(pressed)]
        if named and not any(wish.startswith(kind) for wish in wishes):
            return named[0]
    return None


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower().replace("check out", "checkout").replace("-", "")))
