"""JSON schemas that strangers send: well-formed, bounded, and never fetched from anywhere."""

import json
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry

from autobot.errors import Invalid
from deployments.llm.engine import Schema

DEEPEST = 32
MOST_PARTS = 10_000
_NO_DOCUMENTS: Any = Registry()  # never fetches: the default one would ask the address in a `$ref`


def checked(schema: Schema, where: str) -> Validator:
    """Return the schema's validator. Raises `Invalid`, which names `where` it was found."""
    _bounded(schema, where)
    cls: Any = validator_for(schema)
    try:
        cls.check_schema(schema)
    except SchemaError as error:
        raise Invalid(f"{where}: not a JSON schema: {error.message[:300]}") from error
    return cls(schema, registry=_NO_DOCUMENTS)


def _bounded(schema: Schema, where: str) -> None:
    parts: list[tuple[Any, int]] = [(schema, 0)]
    for count, (part, depth) in enumerate(parts):  # it grows while it is read
        if depth > DEEPEST or count > MOST_PARTS:
            raise Invalid(f"{where}: the schema is too large or nested too deeply.")
        if isinstance(part, dict):
            reference = part.get("$ref", "#")
            if isinstance(reference, str) and not reference.startswith("#"):
                raise Invalid(f"{where}: '$ref' may only point into the schema itself.")
            parts += [(value, depth + 1) for value in part.values()]
        elif isinstance(part, list):
            parts += [(value, depth + 1) for value in part]
    if not isinstance(schema.get("$schema", ""), str):
        raise Invalid(f"{where}: '$schema' is no text.")
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
