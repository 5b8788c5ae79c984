"""One OpenAPI document out of the rooms' own."""

from collections.abc import Sequence
from typing import Any

from autobot import __version__
from autobot.errors import AutoBotError
from autobot.manifests import rooms

WRONG_VALUE = "A value is not acceptable"
SECURITY = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer ab_...`.",
    }
}

_TEXT = {"type": "string"}
_OPENAI_FIELDS = {
    "message": _TEXT,
    "type": _TEXT,
    "param": {"type": ["string", "null"]},
    "code": {"type": ["string", "null"]},
}


def with_others_errors(document: dict[str, Any]) -> dict[str, Any]:
    """Say of others' APIs what `problems` answers: a wrong value is their 400, never a 422."""
    for path, operations in document.get("paths", {}).items():
        if rooms().dialect(path) == "problem":
            continue
        for operation in operations.values():
            if operation["responses"].pop("422", None):
                told = operation["responses"].setdefault("400", {"description": WRONG_VALUE})
                told["content"] = {"application/json": {"schema": _error_of(path)}}
    return document


def _error_of(path: str) -> dict[str, Any]:
    openai = {"type": "object", "properties": _OPENAI_FIELDS, "required": list(_OPENAI_FIELDS)}
    error = openai if rooms().dialect(path) == "openai" else _TEXT
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def merge_openapi(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge paths and schemas; two rooms that mean different things by one name are an error."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for document in documents:
        for path, item in document.get("paths", {}).items():
            paths.setdefault(path, {}).update(item)
        for name, schema in document.get("components", {}).get("schemas", {}).items():
            if schemas.setdefault(name, schema) != schema:
                raise AutoBotError(f"Two rooms define the schema '{name}' differently.")
    return {
        "openapi": "3.1.0",
        "info": {"title": "AutoBot", "version": __version__},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas, "securitySchemes": SECURITY},
        "security": [{"key": []}],
    }
