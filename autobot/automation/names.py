"""Names that a document gives: of automations, steps and inputs."""

from typing import Annotated

from pydantic import AfterValidator, Field

SLUG = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
IDENTIFIER = r"^[a-z][a-z0-9_]{0,62}$"
TOOL = r"^[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){0,3}$"
RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "fail", "false", "for", "function", "if"),
        *("import", "in", "let", "loop", "namespace", "null", "package", "return", "true", "var"),
        *("void", "while"),
    }
)
"""CEL's own words, and what ``on_error`` says besides a step's id."""


def _no_reserved_word(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} is a word of the format or of CEL; choose another name")
    return name


Slug = Annotated[str, Field(pattern=SLUG)]
"""An automation's name: small letters, digits and hyphens."""

Identifier = Annotated[str, Field(pattern=IDENTIFIER), AfterValidator(_no_reserved_word)]
"""A step's id or an input's name, as CEL can say it: no hyphen, which would subtract."""

ToolName = Annotated[str, Field(pattern=TOOL)]
"""What a step uses, for example ``llm.chat``."""
