"""Globs for addresses, as Playwright writes them, matched in linear time.

``*`` is anything but a slash, ``**`` anything, ``{a,b}`` one of both, and a backslash takes a
character as it is. Playwright's own matcher makes a pattern for Python's ``re`` of them, which
``*{*,*}{*,*}{*,*}`` keeps busy for ever, and every caller of the room with it. The patterns made
here are applied by the engine behind pydantic's own, which never steps back.
"""

import re
from urllib.parse import urlsplit

from pydantic_core import SchemaError, SchemaValidator, core_schema

from autobot.errors import Invalid

MOST_LETTERS = 8192
"""Of an address; a longer one matches nothing."""
TOKEN = re.compile(r"\\.|\*+/?|.", re.DOTALL)


class Glob:
    """Raises `Invalid` for a glob that is none."""

    def __init__(self, glob: str) -> None:
        if glob.startswith(("http://", "https://")) and not urlsplit(glob).path:
            glob += "/"  # as the browser writes the address of a site
        pattern = f"^(?:{''.join(_translated(glob))})$"
        try:
            schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
            self._matcher = SchemaValidator(schema)
        except SchemaError as error:
            raise Invalid("url: the glob is too large.") from error

    def matches(self, url: str) -> bool:
        """Whether all of ``url`` fits; one of more than `MOST_LETTERS` never does."""
        return len(url) <= MOST_LETTERS and self._matcher.isinstance_python(url)


def _translated(glob: str) -> list[str]:
    parts: list[str] = []
    inside = False
    before = ""
    for part in TOKEN.findall(glob):
        if (part == "{" and not inside) or (part == "}" and inside):
            inside = part == "{"
            parts.append("(?:" if inside else ")")
        elif part in ("{", "}"):
            raise Invalid(f"url: the glob has a `{part}` too many.")
        elif part == "," and inside:
            parts.append("|")
        elif part[0] == "*":
            parts.append(_stars(part, before))
        else:
            parts.append(re.escape(part[-1]))
        before = part[-1]
    if inside:
        raise Invalid("url: the glob has a `{` that is not closed.")
    return parts


def _stars(part: str, before: str) -> str:
    """One star stays within a segment; two and a slash are any whole segments, or none."""
    if part.startswith("**"):
        if part.endswith("/"):
            return "(?:.+/|)" if before == "/" else ".*/"
        return ".*"
    return "[^/]*/" if part.endswith("/") else "[^/]*"
