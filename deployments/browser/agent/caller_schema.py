"""JSON schemas that callers send: an object's, well-formed, small, and never fetched."""

import json
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry

MOST_LETTERS = 8000
"""The model is told the schema: longer ones would not leave room for a page."""
DEEPEST = 24
_NO_DOCUMENTS: Any = Registry()  # never fetches: the default one would ask the address in a `$ref`


def checked(schema: dict[str, Any]) -> Validator:
    """Return the schema's validator. Raises ValueError when it is none of an object's."""
    if len(json.dumps(schema)) > MOST_LETTERS or _depth(schema) > DEEPEST:
        raise ValueError("schema: it is too large or nested too deeply")
    if schema.get("type") != "object":
        raise ValueError("schema: its root must have `type: object`")
    if not _local(schema):
        raise ValueError("schema: '$ref' may only point into the schema itself")
    cls: Any = validator_for(schema)
    try:
        cls.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"schema: not a JSON schema: {error.message[:200]}") from error
    return cls(schema, registry=_NO_DOCUMENTS)


def fault(schema: dict[str, Any], value: Any) -> str:
    """Say what of ``value`` the schema refuses, or nothing."""
    error = next(checked(schema).iter_errors(value), None)
    if error is None:
        return ""
    return f"{'.'.join(map(str, error.absolute_path)) or 'the object'}: {error.message[:200]}"


def _depth(part: Any) -> int:
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _local(part: Any) -> bool:
    if isinstance(part, dict):
        reference = part.get("$ref", "#")
        if isinstance(reference, str) and not reference.startswith("#"):
            return False
        return all(map(_local, part.values()))
    return all(map(_local, part)) if isinstance(part, list) else True
