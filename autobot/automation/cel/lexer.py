"""The words of an expression: names, numbers, texts and signs, each with its place."""

import re
from dataclasses import dataclass
from typing import Literal

from autobot.automation.cel.errors import CelError

Kind = Literal["name", "field", "int", "double", "text", "sign", "end"]
MOST_WORDS = 1_000
WORD = re.compile(
    r'''
    (?P<space> [ \t\r\n\f]+ )
    | (?P<unsupported> \d\w*[uU]\b | [bB][rR]?["'] | [rR][bB]["'] )
    | (?P<double> \d+\.\d+(?:[eE][+-]?\d+)? | \.\d+(?:[eE][+-]?\d+)? | \d+[eE][+-]?\d+ )
    | (?P<int> 0[xX][0-9a-fA-F]+ | \d+ )
    | (?P<raw3> [rR](?: """(?: [^"] | "(?!"") )*""" | '{3}(?: [^'] | '(?!'') )*'{3} ) )
    | (?P<text3> """(?: [^"\\] | \\. | "(?!"") )*""" | '{3}(?: [^'\\] | \\. | '(?!'') )*'{3} )
    | (?P<raw> [rR](?: "[^"\r\n]*" | '[^'\r\n]*' ) )
    | (?P<text> "(?: [^"\\\r\n] | \\. )*" | '(?: [^'\\\r\n] | \\. )*' )
    | (?P<field> `[\w./ -]+` )
    | (?P<name> [A-Za-z_]\w* )
    | (?P<sign> && | \|\| | [=!<>]= | [-+*/%!<>?:.,()\[\]{}] )
    ''',
    re.VERBOSE | re.ASCII,
)
ESCAPE = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))"
)
ESCAPED = {
    **dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)),
    **{sign: sign for sign in "\\?\"'`"},
}


@dataclass(frozen=True)
class Word:
    kind: Kind
    value: str
    column: int


def words(text: str, start: int = 0, *, inside: bool = False) -> tuple[list[Word], int]:
    """Return the words from ``start`` on, closed by one of kind ``end``, and where they ended.

    ``inside`` a template they end before a ``}}`` that closes nothing of the expression. Columns
    count from 1 at ``start``. Raises `CelError`.
    """
    found: list[Word] = []
    position, depth = start, 0
    while position < len(text):
        if inside and depth == 0 and text.startswith("}}", position):
            break
        match = WORD.match(text, position)
        column = position - start + 1
        if match is None:
            raise CelError(f"unexpected {text[position]!r}", column)
        kind, value = match.lastgroup or "", match[0]
        if kind == "unsupported":
            raise CelError("unsigned numbers and bytes are not supported", column)
        if kind != "space":
            depth += (value in ("{",)) - (value in ("}",))
            found.append(_word(kind, value, column))
        if len(found) > MOST_WORDS:
            raise CelError(f"an expression has at most {MOST_WORDS} words", column)
        position = match.end()
    if inside and position >= len(text):
        raise CelError("'${{' is not closed by '}}'", position - start + 1)
    found.append(Word("end", "the end", position - start + 1))
    return found, position


def _word(kind: str, value: str, column: int) -> Word:
    if kind in ("raw", "raw3"):
        return Word("text", value[4:-3] if kind == "raw3" else value[2:-1], column)
    if kind in ("text", "text3"):
        inner = value[3:-3] if kind == "text3" else value[1:-1]
        return Word("text", _unescaped(inner, column), column)
    if kind == "field":
        return Word("field", value[1:-1], column)
    return Word(kind, value, column)  # type: ignore[arg-type]


def _unescaped(text: str, column: int) -> str:
    def character(match: "re.Match[str]") -> str:
        short, middle, long, octal, sign = match.groups()
        if sign:
            if sign not in ESCAPED:
                raise CelError(f"unknown escape {match[0]!r}", column)
            return ESCAPED[sign]
        code = int(octal, 8) if octal else int(short or middle or long, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise CelError(f"{match[0]!r} is no character", column)
        return chr(code)

    return ESCAPE.sub(character, text)
