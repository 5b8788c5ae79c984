"""What spends or destroys is pressed only when the goal, or the person, speaks of it.

A small model that does not know how to go on presses what there is, "Order now" as well. English
words only: a guard against that mistake, and no permission system.
"""

import re

SPENDING = ("order", "buy", "purchase", "pay", "checkout", "donate", "subscribe")
DESTROYING = ("delete", "erase", "unsubscribe", "deactivate")
REFUSAL = "not done: nobody asked to {word} anything; ask the person if it is needed"
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
CHECKOUT = re.compile(r"check[ -]out")
ASSENT = re.compile(r"\s*(yes|yeah|yep|ok|okay|sure|go ahead|do it|please do)\b", re.I)
DISSENT = {"no", "nope", "not", "don't", "dont", "never", "stop", "cancel", "nothing", "rather"}


def uncalled_for(pressed: str, asked: str) -> str | None:
    """The word of a button's name that commits its owner to what ``asked`` says nothing of."""
    wishes = _words(asked)
    for kind in (SPENDING, DESTROYING):
        named = [word for word in kind if word in _words(pressed)]
        if named and not any(wish.startswith(kind) for wish in wishes):
            return named[0]
    return None


def asked_for(question: str, answer: str) -> str:
    """What a person's ``answer`` asks for: its own words, and the question's when they agree.

    Nothing, when any word of it says no: what is not sure is not done.
    """
    if DISSENT & _words(answer):
        return ""
    return f"{question}\n{answer}" if ASSENT.match(answer) else answer


def _words(text: str) -> set[str]:
    return set(WORD.findall(CHECKOUT.sub("checkout", text.lower())))
