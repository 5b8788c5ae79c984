"""What of JSON schemas that callers send the agent's model is asked to fill: objects, and small."""

import json
from typing import Any

from autobot.errors import Invalid
from autobot.schemas import json_schema

MOST_LETTERS = 8000
"""The model is told the schema: longer ones would not leave room for a page."""


def checked(schema: dict[str, Any]) -> json_schema.Checked:
    """Return the schema, ready to be applied. Raises ValueError when it is none of an object's."""
    if len(json.dumps(schema)) > MOST_LETTERS:
        raise ValueError(f"schema: it is longer than {MOST_LETTERS} letters")
    if schema.get("type") != "object":
        raise ValueError("schema: its root must have `type: object`")
    try:
        return json_schema.checked(schema, "schema")
    except Invalid as error:
        raise ValueError(error.detail) from error


def fault(schema: dict[str, Any], value: Any) -> str:
    """Say what of ``value`` the schema refuses, or nothing."""
    return checked(schema).fault(value)
