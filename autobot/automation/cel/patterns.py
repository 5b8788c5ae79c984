"""Regular expressions: applying them is counted, reading them is bounded.

How long a pattern takes to read no text shows, and it may be 50 ms. So an expression has few, all
written out, and those of a document are read together before it is saved.
"""

from functools import lru_cache

from autobot.automation.cel.budget import Budget
from autobot.automation.cel.errors import NoValue
from autobot.automation.cel.operators import kind
from autobot.errors import Invalid
from autobot.schemas.json_schema import Budget as Reading
from autobot.schemas.json_schema import Checked, checked
from autobot.schemas.pattern_cost import steps_a_letter

LONGEST = 500
MOST = 20
"""Of one expression."""


def matches(budget: Budget, text: object, pattern: str) -> bool:
    """Search for a regular expression, in linear time or a bounded number of steps back."""
    if not isinstance(text, str):
        raise NoValue(f"matches does not take a value of kind {kind(text)}")
    budget.spend(50 + len(text) * steps_a_letter(pattern) // 50)
    return _compiled(pattern).is_valid(text)


@lru_cache(maxsize=64)  # more than one expression has, so that a loop reads none twice
def _compiled(pattern: str) -> Checked:
    return compiled(pattern, Reading())


def compiled(pattern: str, reading: Reading) -> Checked:
    """Return a pattern ready to be applied; ``reading`` bounds the time that several take.

    Raises `NoValue` for what is no pattern, or too large.
    """
    if len(pattern) > LONGEST:
        raise NoValue(f"a pattern has at most {LONGEST} letters")
    try:
        return checked({"type": "string", "pattern": pattern}, "matches()", reading)
    except Invalid as error:
        raise NoValue("the pattern is no regular expression, or too large") from error
