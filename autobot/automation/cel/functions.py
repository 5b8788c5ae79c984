"""The functions that an expression may call, and none besides."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from autobot.automation.cel.budget import Budget, as_text
from autobot.automation.cel.errors import NoValue
from autobot.automation.cel.operators import INT_MAX, INT_MIN, kind, length, moment, whole
from autobot.automation.cel.patterns import matches

ZONE_STEPS = 30
"""Of looking for a time zone among files."""
DURATION = re.compile(r"([+-]?)((?:\d{1,15}(?:\.\d{1,9})?(?:h|ms|us|ns|m|s))+)")
PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|ns|m|s)")
SECONDS = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
STAMP = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII
)
OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)
TRUTHS = {
    **dict.fromkeys(("1", "t", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "false", "FALSE", "False"), False),
}
Function = Callable[..., Any]


def size(budget: Budget, value: Any) -> int:
    """Count letters, items or keys."""
    if isinstance(value, str | list | dict):
        return len(value)
    raise _no_overload("size", value)


def to_string(budget: Budget, value: Any) -> str:
    """Write a value: whole doubles without ``.0``, times as RFC 3339 or ``90s``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(whole(value))
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, datetime | timedelta):
        return as_text(value)
    raise _no_overload("string", value)


def number_text(value: float) -> str:
    """Write a double as JavaScript does: 1.0 is ``1``."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e16:
        return str(int(value))
    return repr(value)


def to_int(budget: Budget, value: Any) -> int:
    """Cut a double, read a text, count a timestamp's seconds since 1970."""
    if type(value) is int:
        return whole(value)
    if isinstance(value, float):
        if not INT_MIN < value < INT_MAX:
            raise NoValue("the number is beyond 64 bits")
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,19}", value):
        return whole(int(value))
    if isinstance(value, datetime):
        return math.floor(value.timestamp())
    raise _no_overload("int", value)


def to_double(budget: Budget, value: Any) -> float:
    """Read a whole number or a text as a double."""
    if type(value) in (int, float):
        return float(whole(value)) if isinstance(value, int) else value
    if isinstance(value, str) and len(value) < 400 and "_" not in value:
        try:
            return float(value)
        except ValueError as error:
            raise NoValue("the text is no number") from error
    raise _no_overload("double", value)


def to_bool(budget: Budget, value: Any) -> bool:
    """Read true or false from a text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in TRUTHS:
        return TRUTHS[value]
    raise _no_overload("bool", value)


def timestamp(budget: Budget, value: Any) -> datetime:
    """Read RFC 3339, or seconds since 1970."""
    if isinstance(value, datetime):
        return value
    try:
        if type(value) is int:
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and len(value) < 50 and STAMP.fullmatch(value):
            return moment(datetime.fromisoformat(_six_digits(value.upper())))
    except (ValueError, OverflowError, OSError) as error:
        raise NoValue("this is no moment of the years 1 to 9999") from error
    raise NoValue("a timestamp is written as 2027-03-28T01:00:00Z")


def _six_digits(stamp: str) -> str:
    return re.sub(r"\.(\d{1,9})", lambda digits: "." + digits[1][:6].ljust(6, "0"), stamp)


def duration(budget: Budget, value: Any) -> timedelta:
    """Read ``90s``, ``1h30m`` or ``-1.5h``."""
    if isinstance(value, timedelta):
        return value
    match = DURATION.fullmatch(value) if isinstance(value, str) and len(value) < 200 else None
    if match is None:
        raise NoValue("a duration is written as 90s or 1h30m")
    seconds, rest = 0.0, match[2]
    while part := PART.match(rest):
        seconds += float(part[1]) * SECONDS[part[2]]
        rest = rest[part.end() :]
    if seconds > 4e11:
        raise NoValue("the duration is longer than ten thousand years")
    return length(timedelta(seconds=-seconds if match[1] == "-" else seconds))


def contains(budget: Budget, text: Any, part: Any) -> bool:
    """Whether the text holds the part."""
    _texts("contains", text, part)
    budget.letters(len(text) + len(part))
    return part in text


def starts_with(budget: Budget, text: Any, part: Any) -> bool:
    """Whether the text begins with the part."""
    _texts("startsWith", text, part)
    budget.letters(len(part))
    return text.startswith(part)


def ends_with(budget: Budget, text: Any, part: Any) -> bool:
    """Whether the text ends with the part."""
    _texts("endsWith", text, part)
    budget.letters(len(part))
    return text.endswith(part)


def lower_ascii(budget: Budget, text: Any) -> str:
    """Make A to Z small."""
    return _translated("lowerAscii", budget, text, {n: n + 32 for n in range(65, 91)})


def upper_ascii(budget: Budget, text: Any) -> str:
    """Make a to z large."""
    return _translated("upperAscii", budget, text, {n: n - 32 for n in range(97, 123)})


def _translated(name: str, budget: Budget, text: Any, table: dict[int, int]) -> str:
    _texts(name, text)
    budget.letters(8 * len(text))
    return text.translate(table)


def trim(budget: Budget, text: Any) -> str:
    """Cut white space at both ends."""
    _texts("trim", text)
    budget.letters(len(text))
    return text.strip()


def split(budget: Budget, text: Any, separator: Any) -> list[str]:
    """Cut at each separator; an empty one cuts between all letters."""
    _texts("split", text, separator)
    budget.letters(len(text))
    budget.spend(text.count(separator))
    return text.split(separator) if separator else list(text)


def join(budget: Budget, items: Any, separator: Any = "") -> str:
    """Put texts together, the separator between them."""
    if not isinstance(items, list):
        raise _no_overload("join", items)
    budget.spend(len(items))
    _texts("join", separator, *items)
    budget.letters(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def replace(budget: Budget, text: Any, old: Any, new: Any) -> str:
    """Put ``new`` in place of every ``old``."""
    _texts("replace", text, old, new)
    budget.letters(len(text))
    budget.letters(text.count(old) * (len(new) + 8))
    return text.replace(old, new)


def substring(budget: Budget, text: Any, start: Any, end: Any = None) -> str:
    """Cut out the letters from ``start`` to before ``end``."""
    _texts("substring", text)
    end = len(text) if end is None else end
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(text):
        raise NoValue("substring() is outside the text")
    budget.letters(end - start)
    return text[start:end]


def index_of(budget: Budget, text: Any, part: Any) -> int:
    """Find where the part begins; -1 where it is not there."""
    _texts("indexOf", text, part)
    budget.letters(len(text) + len(part))
    return text.find(part)


def _part_of_time(
    name: str, of_moment: Callable[[datetime], int], unit: timedelta | None
) -> Function:
    """``unit`` is what a duration is counted in; None where it has no such part."""

    def part(budget: Budget, value: Any, zone: Any = "UTC") -> int:
        if isinstance(value, timedelta) and unit:
            count = math.trunc(value / unit)
            return count % 1_000 if name == "getMilliseconds" else count
        if not isinstance(value, datetime):
            raise _no_overload(name, value)
        return of_moment(_in_zone(value, zone, budget))

    return part


def _in_zone(value: datetime, zone: Any, budget: Budget) -> datetime:
    _texts("a time zone", zone)
    if zone != "UTC":
        budget.spend(ZONE_STEPS)
    try:
        if match := OFFSET.fullmatch(zone):
            offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
            return value.replace(tzinfo=None) + (-offset if match[1] == "-" else offset)
        return value.astimezone(ZoneInfo(zone))
    except (OSError, ValueError, KeyError, OverflowError) as error:
        raise NoValue("there is no such time zone") from error


TIMES = {
    "getFullYear": (lambda at: at.year, None),
    "getMonth": (lambda at: at.month - 1, None),
    "getDate": (lambda at: at.day, None),
    "getDayOfMonth": (lambda at: at.day - 1, None),
    "getDayOfYear": (lambda at: at.timetuple().tm_yday - 1, None),
    "getDayOfWeek": (lambda at: at.isoweekday() % 7, None),
    "getHours": (lambda at: at.hour, timedelta(hours=1)),
    "getMinutes": (lambda at: at.minute, timedelta(minutes=1)),
    "getSeconds": (lambda at: at.second, timedelta(seconds=1)),
    "getMilliseconds": (lambda at: at.microsecond // 1_000, timedelta(milliseconds=1)),
}
FUNCTIONS: dict[str, tuple[Function, int, int]] = {
    "size": (size, 1, 1),
    "string": (to_string, 1, 1),
    "int": (to_int, 1, 1),
    "double": (to_double, 1, 1),
    "bool": (to_bool, 1, 1),
    "dyn": (lambda budget, value: value, 1, 1),
    "timestamp": (timestamp, 1, 1),
    "duration": (duration, 1, 1),
    "matches": (matches, 2, 2),
}
"""Called as ``f(x)``: the function, and how few and how many arguments it takes."""
METHODS: dict[str, tuple[Function, int, int]] = {
    "size": (size, 1, 1),
    "matches": (matches, 2, 2),
    "contains": (contains, 2, 2),
    "startsWith": (starts_with, 2, 2),
    "endsWith": (ends_with, 2, 2),
    "lowerAscii": (lower_ascii, 1, 1),
    "upperAscii": (upper_ascii, 1, 1),
    "trim": (trim, 1, 1),
    "split": (split, 2, 2),
    "join": (join, 1, 2),
    "replace": (replace, 3, 3),
    "substring": (substring, 2, 3),
    "indexOf": (index_of, 2, 2),
    **{name: (_part_of_time(name, *parts), 1, 2) for name, parts in TIMES.items()},
}
"""Called as ``x.f()``; ``x`` is the first argument."""


def _texts(name: str, *values: Any) -> None:
    for value in values:
        if not isinstance(value, str):
            raise _no_overload(name, value)


def _no_overload(name: str, value: Any) -> NoValue:
    return NoValue(f"{name} does not take a value of kind {kind(value)}")
