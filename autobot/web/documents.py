"""One OpenAPI document out of the rooms' own."""

from collections.abc import Sequence
from typing import Any

from autobot import __version__
from autobot.errors import AutoBotError

SECURITY = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer ab_...`.",
    }
}


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
