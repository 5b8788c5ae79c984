"""JSON schemas that callers send: well-formed, bounded, never fetched, their patterns never slow.

A schema is a stranger's program: a pattern such as ``(a+)+$`` keeps Python's ``re`` busy for hours,
which is why jsonschema-rs applies them. Its patterns are ECMAScript's, as JSON Schema asks, take
linear time or give up after a bounded number of steps back, and what they gave up on is not valid.
"""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema_rs import ValidationError, Validator, validator_for

from autobot.errors import Invalid

DEEPEST = 32
MOST_PARTS = 10_000


def checked(schema: Mapping[str, Any], where: str) -> Validator:
    """Return the schema's validator. Raises `Invalid`, which names ``where`` it was found."""
    _bounded(schema, where)
    try:
        # Formats only describe, as in the latest draft: older ones would refuse what they name.
        return validator_for(dict(schema), offline=True, validate_formats=False)
    except ValidationError as error:
        place = "/".join(map(str, error.instance_path))
        said = f"{place}: {error.message[:300]}" if place else error.message[:300]
        raise Invalid(f"{where}: not a JSON schema: {said}") from error
    except ValueError as error:  # half a surrogate pair
        raise Invalid(f"{where}: the schema holds what is not JSON: {error}.") from error


def _bounded(schema: Mapping[str, Any], where: str) -> None:
    parts: list[tuple[Any, int]] = [(schema, 0)]
    for count, (part, depth) in enumerate(parts):  # it grows while it is read
        if depth > DEEPEST or count > MOST_PARTS:
            raise Invalid(f"{where}: the schema is too large or nested too deeply.")
        if isinstance(part, Mapping):
            reference = part.get("$ref", "#")
            if isinstance(reference, str) and not reference.startswith("#"):
                raise Invalid(f"{where}: '$ref' may only point into the schema itself.")
            parts += [(value, depth + 1) for value in part.values()]
        elif isinstance(part, list):
            parts += [(value, depth + 1) for value in part]
    try:  # Python reads NaN as if it were JSON, and no engine does
        json.dumps(schema, allow_nan=False)
    except ValueError as error:
        raise Invalid(f"{where}: the schema holds what is not JSON: {error}.") from error


def moved(part: Any, below: str) -> Any:
    """A copy whose local references still hold when the schema is placed `below` another's root."""
    if isinstance(part, dict):
        return {
            key: below + value[1:]
            if key == "$ref" and isinstance(value, str)
            else moved(value, below)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [moved(value, below) for value in part]
    return part
