"""The forms in which a secret's value may come back: encoded by those whom a step has sent it."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

SHORTEST = 4
"""Characters of a form: a shorter one is anywhere."""


def forms(value: str) -> frozenset[str]:
    """Return every form of ``value``, itself included.

    They are JSON's and Python's escapes, those of addresses and of XML, hexadecimal, and base64,
    wherever the value begins in what was encoded (``user:password`` is encoded as one).
    """
    texts = {value, value.strip()}
    found = {form for text in texts for form in _encoded(text)}
    return frozenset(form for form in texts | found if len(form) >= SHORTEST)


def _encoded(value: str) -> Iterator[str]:
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")
    yield repr(value)[1:-1]
    for safe in ("", "/", "/:?=&+@,;$!*'()"):
        yield from _both_cases(quote(value, safe=safe))
    yield from _both_cases(quote_plus(value))
    yield escape(value)
    yield quoteattr(value)[1:-1]
    body = value.encode()
    yield body.hex()
    yield body.hex().upper()
    yield from _base64(body)


def _both_cases(quoted: str) -> Iterator[str]:
    """``%2F`` and ``%2f``."""
    head, *parts = quoted.split("%")
    yield quoted
    yield "%".join([head, *(part[:2].lower() + part[2:] for part in parts)])


def _base64(body: bytes) -> Iterator[str]:
    """At each of the three places of a byte within four characters: the characters that no
    neighbour of the value changes. At the first place also as it is encoded alone."""
    for before in range(3):
        bits = 8 * before, 8 * (before + len(body))
        first, last = -(-bits[0] // 6), bits[1] // 6
        encoded = base64.b64encode(b"\0" * before + body).decode()
        for text in (encoded, encoded.translate(str.maketrans("+/", "-_"))):
            yield text[first:last]
            if before == 0:
                yield text.rstrip("=")
