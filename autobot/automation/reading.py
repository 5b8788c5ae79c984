"""A document from text to types and back, and what names its content."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autobot.automation.document import Automation, ForEach, Limits, Retry, Step
from autobot.automation.errors import MOST_MISTAKES, InvalidAutomation, Mistake
from autobot.automation.inputs import Input
from autobot.automation.names import IDENTIFIER, SLUG, TOOL
from autobot.automation.text import Text, dotted, read, write
from autobot.automation.triggers import Event, File, Manual, Mcp, Schedule, Triggers, Webhook
from autobot.automation.world import MOST_HINTS

SCHEMA_ID = "urn:autobot:automation:1"
MODELS: dict[str, type[BaseModel]] = {
    "": Automation, "on": Triggers, "steps": Step, "retry": Retry, "for_each": ForEach,
    "limits": Limits, "inputs": Input, "schedule": Schedule, "webhook": Webhook, "manual": Manual,
    "file": File, "event": Event, "mcp": Mcp,
}  # fmt: skip
"""By the key that they stand under."""
WORDS = {
    "missing": "is missing",
    "string_type": "a text is expected",
    "bool_type": "true or false is expected",
    "bool_parsing": "true or false is expected",
    "int_type": "a whole number is expected",
    "tuple_type": "a list is expected",
    "list_type": "a list is expected",
    "dict_type": "a map is expected",
    "model_type": "a map is expected",
    "too_short": "at least one is needed",
}
SHAPES = {
    SLUG: "a name has small letters, digits and hyphens, at most 64",
    IDENTIFIER: "small letters, digits and underlines, a letter first: a hyphen would subtract",
    TOOL: "a tool's name is written as llm.chat",
}
"""What patterns ask for."""


@dataclass(frozen=True)
class Source:
    """A document with the text it came from, which knows where each part stands."""

    automation: Automation
    text: Text

    def placed(self, mistakes: Iterable[tuple[Sequence[str | int], str]]) -> list[Mistake]:
        """Return mistakes of the given paths with their lines and columns, in their order."""
        return in_order(
            Mistake(dotted(path), message, *self.text.place(path)) for path, message in mistakes
        )


def load(text: str) -> Source:
    """Read a document in YAML or JSON. Raises `InvalidAutomation` with all mistakes of its shape;
    what goes beyond the shape is for `autobot.automation.validation`."""
    parsed = read(text)
    mistakes = list(parsed.mistakes)
    automation = None
    try:
        automation = Automation.model_validate(parsed.value)
    except ValidationError as error:
        mistakes += _mistakes(error.errors(include_url=False), parsed)
    if automation is None or mistakes:
        raise InvalidAutomation(None, tuple(in_order(mistakes)))
    return Source(automation, parsed)


def load_value(value: Any) -> Source:
    """Read a document that is already plain values, as from a request's body."""
    try:
        text = json.dumps(value, allow_nan=False, indent=1)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidAutomation(None, (Mistake("", "the document is no JSON"),)) from error
    return load(text)


def dump(automation: Automation) -> str:
    """Return the document as YAML without what is left to its default; `load` reads the same."""
    return write(plain(automation))


def plain(automation: Automation) -> dict[str, Any]:
    """Return the document as JSON values without what is left to its default."""
    return automation.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def content_hash(automation: Automation) -> str:
    """Return what names a version: the same for documents that mean the same, whatever the order
    of their keys, their comments, their spelling of defaults and lengths of time."""
    content = {"schema": automation.schema_number} | plain(automation)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of documents (draft 2020-12): of their shape, no more."""
    document = Automation.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID} | document


def in_order(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Sort by place; the same one twice is one, and at most `MOST_MISTAKES` are told."""
    by_place = sorted(dict.fromkeys(mistakes), key=lambda mistake: (mistake.line, mistake.column))
    return by_place[:MOST_MISTAKES]


def _mistakes(errors: Sequence[ErrorDetails], text: Text) -> list[Mistake]:
    """Of a choice of types each says what it expects: they are one mistake."""
    by_path: dict[tuple[str | int, ...], list[str]] = {}
    keys: set[tuple[str | int, ...]] = set()
    for error in errors:
        path = _existing(error["loc"], text.value)
        message = _message(error)
        if error["type"] == "missing":
            path = (*path, error["loc"][-1])
        elif error["type"] == "too_short" and error["input"]:
            continue  # its items are wrong, and told one by one
        elif error["type"] == "extra_forbidden" or error["loc"][-1:] == ("[key]",):
            keys.add(path)
            if error["type"] == "extra_forbidden":
                message = _unknown(path, hint=len(keys) <= MOST_HINTS)
        if path not in by_path and len(by_path) == MOST_MISTAKES:
            break
        by_path.setdefault(path, [])
        if message not in by_path[path]:
            by_path[path].append(message)
    return [
        Mistake(dotted(path), "; or: ".join(messages), *text.place(path, key=path in keys))
        for path, messages in by_path.items()
    ]


def _message(error: ErrorDetails) -> str:
    if error["type"] == "string_pattern_mismatch":
        return SHAPES.get(error.get("ctx", {}).get("pattern", ""), error["msg"])
    return WORDS.get(error["type"], error["msg"].removeprefix("Value error, "))


def _existing(location: tuple[str | int, ...], value: Any) -> tuple[str | int, ...]:
    """The part of pydantic's location that is in the document; the rest names types, or the place
    in a list where the document has its only item."""
    path: list[str | int] = []
    for part in location:
        match value, part:
            case dict(), int():
                continue
            case dict(), str() if part in value:
                value = value[part]
            case list(), int() if part < len(value):
                value = value[part]
            case _:
                break
        path.append(part)
    return tuple(path)


def _unknown(path: tuple[str | int, ...], *, hint: bool) -> str:
    names = [part for part in path[:-1] if isinstance(part, str)]
    parent = "inputs" if names[:1] == ["inputs"] else names[-1] if names else ""
    model = MODELS.get(parent, Automation)
    known = [field.alias or name for name, field in model.model_fields.items()]
    name = str(path[-1])[:60]
    near = get_close_matches(name, known, 1, 0.5) if hint else ()
    help_ = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(known)
    return f"unknown key {name!r}; {help_}"
