"""What signs mean for each pair of kinds; nothing is converted silently."""

import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from autobot.automation.cel.budget import Budget
from autobot.automation.cel.errors import NoValue
from autobot.automation.cel.parser import INT_MAX, INT_MIN

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LONGEST = timedelta(seconds=315_576_000_000)
"""Of a duration: ten thousand years, as in protobuf."""
KINDS: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "double",
    str: "string",
    list: "list",
    dict: "map",
    type(None): "null",
    datetime: "timestamp",
    timedelta: "duration",
}
ORDERED = {"bool", "string", "timestamp", "duration"}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def kind(value: Any) -> str:
    """Return CEL's name for the type of a value."""
    return KINDS.get(type(value), type(value).__name__)


def is_number(value: Any) -> bool:
    """Whether it is an int or a double; true and false are neither."""
    return type(value) in (int, float)


def equal(left: Any, right: Any, budget: Budget) -> bool:
    """Compare by value: 1 equals 1.0, and things of different kinds are never equal."""
    # Without recursion: a tool's result may be deeper than Python's stack.
    pairs = [(left, right)]
    while pairs:
        one, other = pairs.pop()
        budget.spend(1)
        if not _alike(one, other, budget):
            return False
        if isinstance(one, list):
            pairs += zip(one, other, strict=True)
        elif isinstance(one, dict):
            pairs += ((value, other[key]) for key, value in one.items())
    return True


def _alike(left: Any, right: Any, budget: Budget) -> bool:
    """Whether two values are equal, but for the parts of lists and maps."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, str):
        budget.letters(min(len(left), len(right)))
    if not isinstance(left, list | dict):
        return bool(left == right)
    if len(left) != len(right):
        return False
    budget.spend(len(left))
    if isinstance(left, dict):
        budget.letters(sum(map(len, left)))
        return left.keys() == right.keys()
    return True


def compare(sign: str, left: Any, right: Any, budget: Budget) -> bool:
    """Order two numbers, or two texts, truths, timestamps or durations."""
    alike = kind(left) == kind(right) and kind(left) in ORDERED
    if not alike and not (is_number(left) and is_number(right)):
        raise _no_overload(sign, left, right)
    if isinstance(left, str):
        budget.letters(min(len(left), len(right)))
    return COMPARE[sign](left, right)


def contained(left: Any, right: Any, budget: Budget) -> bool:
    """Whether a list has an equal item, or a map the key."""
    if isinstance(right, list):
        return any(equal(left, item, budget) for item in right)
    if isinstance(right, dict):
        return isinstance(left, str) and left in right
    raise _no_overload("in", left, right)


def add(left: Any, right: Any, budget: Budget) -> Any:
    """Add numbers of one kind and times; join texts and lists."""
    match kind(left), kind(right):
        case ("int", "int"):
            return whole(left + right)
        case ("double", "double"):
            return left + right
        case ("string", "string"):
            budget.letters(len(left) + len(right))
            return left + right
        case ("list", "list"):
            budget.spend(len(left) + len(right))
            return left + right
        case ("timestamp", "duration") | ("duration", "timestamp") | ("duration", "duration"):
            return _time(lambda: left + right)
    raise _no_overload("+", left, right)


def subtract(left: Any, right: Any, budget: Budget) -> Any:
    """Subtract numbers of one kind, or times."""
    match kind(left), kind(right):
        case ("int", "int"):
            return whole(left - right)
        case ("double", "double"):
            return left - right
        case ("timestamp", "timestamp" | "duration") | ("duration", "duration"):
            return _time(lambda: left - right)
    raise _no_overload("-", left, right)


def multiply(left: Any, right: Any, budget: Budget) -> Any:
    """Multiply numbers of one kind."""
    match kind(left), kind(right):
        case ("int", "int"):
            return whole(left * right)
        case ("double", "double"):
            return left * right
    raise _no_overload("*", left, right)


def divide(left: Any, right: Any, budget: Budget) -> Any:
    """Divide numbers of one kind; whole numbers towards zero."""
    match kind(left), kind(right):
        case ("int", "int"):
            if right == 0:
                raise NoValue("division by zero")
            quotient = abs(left) // abs(right)
            return whole(quotient if (left < 0) == (right < 0) else -quotient)
        case ("double", "double"):
            if right:
                return left / right
            return (
                math.nan
                if not left or left != left
                else math.copysign(math.inf, left * math.copysign(1.0, right))
            )
    raise _no_overload("/", left, right)


def remainder(left: Any, right: Any, budget: Budget) -> Any:
    """Return what division leaves; it has the sign of the left number."""
    if kind(left) != "int" or kind(right) != "int":
        raise _no_overload("%", left, right)
    if right == 0:
        raise NoValue("division by zero")
    if (left, right) == (INT_MIN, -1):
        raise NoValue("the number is beyond 64 bits")
    rest = abs(whole(left)) % abs(whole(right))
    return -rest if left < 0 else rest


ARITHMETIC: dict[str, Callable[[Any, Any, Budget], Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
}


def whole(value: int) -> int:
    """Return it; raises `NoValue` beyond 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise NoValue("the number is beyond 64 bits")


def moment(value: datetime) -> datetime:
    """Return it in UTC; raises `NoValue` outside the years 1 to 9999."""
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise NoValue("the timestamp is outside the years 1 to 9999") from error


def length(value: timedelta) -> timedelta:
    """Return it; raises `NoValue` beyond ten thousand years."""
    if abs(value) > LONGEST:
        raise NoValue("the duration is longer than ten thousand years")
    return value


def _time(made: Callable[[], Any]) -> Any:
    try:
        value = made()
    except OverflowError as error:
        raise NoValue("the time is outside the years 1 to 9999") from error
    return length(value) if isinstance(value, timedelta) else moment(value)


def _no_overload(sign: str, left: Any, right: Any) -> NoValue:
    hint = ""
    if is_number(left) and is_number(right):
        hint = "; make both alike with double() or int()"
    return NoValue(f"{kind(left)} {sign} {kind(right)} has no meaning{hint}")
