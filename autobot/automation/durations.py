"""Lengths of time as a person writes them: ``90``, ``90s``, ``2h``, ``1h30m``, ``30d``."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
WRITTEN = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
LONGEST = 30 * UNITS["d"]
"""Nothing waits longer than a run may."""


def seconds(value: Any) -> Any:
    """Return whole seconds for a text such as ``1h30m``; what is no text passes through.

    Raises `ValueError` for a text that is no length of time.
    """
    if not isinstance(value, str):
        return value
    match = WRITTEN.fullmatch(value)
    if not value or match is None:
        raise ValueError("a length of time is a number of seconds or written as 90s, 2h or 1h30m")
    return sum(int(n) * size for n, size in zip(match.groups("0"), UNITS.values(), strict=True))


def written(value: int) -> str:
    """Return the shortest text for so many seconds: 5400 is ``1h30m``."""
    parts: list[str] = []
    for unit, size in UNITS.items():
        count, value = divmod(value, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


Duration = Annotated[
    int,
    BeforeValidator(seconds),
    Field(ge=1, le=LONGEST, strict=True),
    PlainSerializer(written, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": LONGEST},
                {
                    "type": "string",
                    "pattern": r"^(?=\d)(\d{1,9}d)?(\d{1,9}h)?(\d{1,9}m)?(\d{1,9}s)?$",
                },
            ]
        }
    ),
]
"""Whole seconds, from one to thirty days. JSON has the written form."""
