"""What one evaluation may cost: time by counted steps, memory by what it makes."""

from datetime import datetime, timedelta
from typing import Any

from autobot.automation.cel.errors import NoValue, TooCostly

MOST_STEPS = 100_000
"""A step takes one or two microseconds."""
LETTERS_A_STEP = 64
"""Reading or making so many letters costs one step."""
DEEPEST_RESULT = 64
MOST_PARTS = 200_000
MOST_LETTERS = 16 << 20


class Budget:
    """Steps that are left; `spend` raises `TooCostly` when there are none."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int) -> None:
        """Take away ``steps``."""
        self.steps -= steps
        if self.steps < 0:
            raise TooCostly("the expression takes too long for these values")

    def letters(self, count: int) -> None:
        """Take away what reading or making a text of ``count`` letters costs."""
        self.spend(1 + count // LETTERS_A_STEP)


class Results:
    """What several results together may hold; `plain` counts them."""

    def __init__(self) -> None:
        self._parts, self._letters = MOST_PARTS, MOST_LETTERS

    def plain(self, value: Any, depth: int = 0) -> Any:
        """Return a result as JSON: timestamps and durations become text.

        Raises `NoValue` for what JSON cannot say and `TooCostly` for what is too large or too
        deep: a list may hold the same list a million times in a few steps, and weighs that only
        here.
        """
        self._parts -= 1
        if isinstance(value, str):
            self.letters(len(value))
        if self._parts < 0 or depth > DEEPEST_RESULT:
            raise TooCostly("the result has too many parts or is too deep")
        if isinstance(value, list):
            return [self.plain(item, depth + 1) for item in value]
        if isinstance(value, dict):
            self.letters(sum(map(len, value)))
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, float) and value - value != 0:
            raise NoValue(f"the result is {value}, which is no number in JSON")
        if isinstance(value, datetime | timedelta):
            return as_text(value)
        return value

    def letters(self, count: int) -> None:
        """Take away ``count`` letters."""
        self._letters -= count
        if self._letters < 0:
            raise TooCostly(f"the result has more than {MOST_LETTERS} letters")


def as_text(value: datetime | timedelta) -> str:
    """Return RFC 3339 in UTC, or seconds with an ``s``, as CEL writes them."""
    if isinstance(value, timedelta):
        seconds, micros = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
        sign = "-" if value < timedelta(0) else ""
        fraction = f".{micros:06d}".rstrip("0").rstrip(".") if micros else ""
        return f"{sign}{seconds}{fraction}s"
    stamp = value.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return stamp + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "") + "Z"
