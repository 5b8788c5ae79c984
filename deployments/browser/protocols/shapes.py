"""Allow lists of methods with the shapes of their arguments, and values fitted to a shape.

A shape is ``string``, ``number``, ``boolean``, ``any``, ``channel`` (a reference to an object of
Playwright's), the name of a type, ``[shape]`` for a list, or the object ``{"name": shape}``, where
``name?`` may be missing and ``*`` stands for every name.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Shape = Any
Check = Callable[[str, str], None]
"""Looks at one string by the name it has among the arguments; raises `Refused`."""
MOST_NAMED = 80
MOST_PARTS = 250_000
"""Values in one command; they are looked at one by one."""


class Refused(Exception):
    """This command is not available here."""


@dataclass(frozen=True)
class Shapes:
    """The methods somebody has looked at, and the types their arguments are made of."""

    methods: dict[str, dict[str, Shape]]
    types: dict[str, Shape]

    @classmethod
    def read(cls, path: Path) -> "Shapes":
        """Read a JSON file with ``methods`` and ``types``. Raises OSError or ValueError."""
        return cls(**json.loads(path.read_text()))

    def fit(self, method: str, arguments: dict[str, Any], check: Check) -> dict[str, Any]:
        """Return ``arguments`` without what is not on the list. Raises `Refused`.

        What is missing is the browser's to complain about.
        """
        if method not in self.methods:
            raise Refused(f"{method[:MOST_NAMED]} is not available here.")
        left = iter(range(MOST_PARTS))
        return self._fit(self.methods[method], arguments, method, check, left)

    def _fit(self, shape: Shape, value: Any, where: str, check: Check, left: Iterator[int]) -> Any:
        if next(left, None) is None:
            raise Refused(f"This has more than {MOST_PARTS} values.")
        if isinstance(shape, dict):
            if not isinstance(value, dict):
                raise _misfit(where, "an object")
            if "*" in shape:
                known = dict.fromkeys(value, shape["*"])
            else:
                known = {name.removesuffix("?"): part for name, part in shape.items()}
            return {
                name: self._fit(known[name], part, f"{where}.{name}"[-MOST_NAMED:], check, left)
                for name, part in value.items()
                if name in known and part is not None
            }
        if isinstance(shape, list):
            if not isinstance(value, list):
                raise _misfit(where, "a list")
            return [self._fit(shape[0], part, where, check, left) for part in value]
        if shape in self.types:
            return self._fit(self.types[shape], value, where, check, left)
        if shape == "any":
            return value
        if shape == "channel":
            return self._fit({"guid": "string"}, value, where, check, left)
        return _scalar(shape, value, where, check)


def _scalar(shape: str, value: Any, where: str, check: Check) -> Any:
    fits = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
    }
    if not fits[shape]:
        raise _misfit(where, f"a {shape}")
    if isinstance(value, str):
        check(where.rpartition(".")[2], value)
    return value


def _misfit(where: str, wanted: str) -> Refused:
    return Refused(f"{where} is not {wanted}.")
