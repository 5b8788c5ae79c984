"""The grammar of a request's schema, made once however often the schema is sent."""

import json
from functools import lru_cache
from typing import Any

from autobot.schemas.json_schema import targets
from deployments.llm.engine import Schema
from deployments.llm.grammar.compiler import Grammar, compiled, is_plain

KEPT = 32
"""Two megabytes each at most."""

_KEPT_AS_SENT = (
    "type", "enum", "const", "required", "minItems", "maxItems", "$ref", "title", "description",
)  # fmt: skip
_SCHEMAS = ("items", "additionalProperties")
_NAMED = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MOST_ITEMS = 100


def grammar_of(schema: Schema) -> Grammar:
    """Takes up to about two seconds of a processor, for schemas made to be difficult. Raises
    `Invalid` where no value is valid."""
    return _grammar(json.dumps(schema))


@lru_cache(KEPT)
def _grammar(schema: str) -> Grammar:
    whole = json.loads(schema)
    return compiled(whole, targets(whole), "the schema")


def relaxed(schema: Schema) -> Schema:
    """As much of it as any engine's own converter takes, and none can be stopped by: what it leaves
    out is validated afterwards."""
    made = _relaxed(dict(schema))
    if is_plain(made, targets(made)):
        return made
    return {"type": made["type"]} if "type" in made else {}


def _relaxed(part: Any) -> Any:
    if not isinstance(part, dict):
        return {}
    made: dict[str, Any] = {key: part[key] for key in _KEPT_AS_SENT if key in part}
    for key in ("minItems", "maxItems"):
        if made.get(key, 0) > MOST_ITEMS:
            del made[key]
    for key in _SCHEMAS:
        if isinstance(part.get(key), dict):
            made[key] = _relaxed(part[key])
    if isinstance(part.get("additionalProperties"), bool):
        made["additionalProperties"] = part["additionalProperties"]
    for key in _NAMED:
        if isinstance(part.get(key), dict):
            made[key] = {n: _relaxed(one) for n, one in part[key].items() if one is not False}
    for key in _LISTS:
        if isinstance(part.get(key), list):
            kept = [_relaxed(one) for one in part[key] if one is not False]
            made[key] = list({json.dumps(one): one for one in kept}.values())
    return made
