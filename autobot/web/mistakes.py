"""Which of a validation's errors a caller is told.

Of a union pydantic reports every branch, and the first of them is mostly not the one that was
meant: five stop strings are "no valid string" before they are too many.
"""

from collections.abc import Sequence
from typing import Any

OTHER_TYPES = ("_type", "_parsing", "literal_error", "missing", "none_required")
"""How the errors of a branch end whose type is not the input's."""


def first_mistake(errors: Sequence[Any]) -> tuple[str, str]:
    """Where it is, without names of branches where there are several, and what is wrong there."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return "", f"The body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}."
    rivals = [error for error in errors if _field(error) == _field(first)]
    meant = [error for error in rivals if not error["type"].endswith(OTHER_TYPES)]
    chosen = meant[0] if meant else max(rivals, key=lambda error: len(error["loc"]))
    if len(rivals) == 1:
        chosen = first
    return _where(chosen, rivals), str(chosen["msg"])


def _field(error: Any) -> tuple[Any, ...]:
    """What the branches of one union have in common: the part of the request, and its name."""
    return tuple(error["loc"][:2])


def _where(error: Any, rivals: Sequence[Any]) -> str:
    loc: list[Any] = [part for part in error["loc"] if part != "body"]
    if len(rivals) > 1 and len(loc) > 1:
        # The name of a branch ("list[str]", "constrained-str") comes after the field's own.
        loc = [part for part in loc if isinstance(part, int) or not _is_branch(part)]
    return ".".join(str(part) for part in loc)


def _is_branch(part: str) -> bool:
    """Of a type, whose own names begin with a capital; a field's never do."""
    return part in BRANCHES or part[:1].isupper() or any(sign in part for sign in "[(-")


BRANCHES = frozenset({"str", "int", "float", "bool", "none", "dict", "list"})
