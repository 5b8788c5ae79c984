"""Make python_docs.jsonl of an unpacked `python3.11-doc` (Debian): `make.py SOURCES_FOLDER`.

Each line is a query and the one passage that answers it: a question of Python's FAQ and its answer,
or a term of the glossary and its definition. Queries are as their authors wrote them.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FAQS = ("programming", "design", "library", "general", "extending", "windows", "gui")
PASSAGE_CHARS = 500
HEADING = re.compile(r"^(\S.*(?:\n\S.*)?)\n([-~=]{4,})\n", re.MULTILINE)
TERM = re.compile(r"^ {3}(\S.*)\n((?: {6}.*\n|\n)+)", re.MULTILINE)
MARKUP = [
    (
        re.compile(r"^\.\. .*\n(?:[ \t]+.*\n|\n)*", re.MULTILINE),
        "",
    ),  # directives and what is in them
    (re.compile(r":[\w:+-]+:`[~!]?([^`<]*?)(?:\s*<[^`>]*>)?`"), r"\1"),  # roles
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`_+"), r"\1"),  # links
    (re.compile(r"``?|\*\*?|::(?=\s)"), ""),
]


def plain(text: str) -> str:
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def questions(text: str) -> Iterator[tuple[str, str]]:
    headings = list(HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        query = plain(heading[1])
        if query.endswith("?"):
            yield query, plain(text[heading.end() : end])


def terms(text: str) -> Iterator[tuple[str, str]]:
    for found in TERM.finditer(text):
        yield plain(found[1]), plain(re.sub(r"^ {6}", "", found[2], flags=re.MULTILINE))


def cut(passage: str) -> str:
    """The passage's first sentences, within PASSAGE_CHARS."""
    if len(passage) <= PASSAGE_CHARS:
        return passage
    return passage[: passage.rfind(" ", 0, PASSAGE_CHARS)]


def main(sources: Path) -> None:
    pairs = [
        pair
        for name in FAQS
        for pair in questions((sources / "faq" / f"{name}.rst.txt").read_text())
    ]
    pairs += terms((sources / "glossary.rst.txt").read_text())
    rows = [
        {"query": query, "passage": cut(passage)} for query, passage in pairs if len(passage) > 80
    ]
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    Path(__file__).with_name("python_docs.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
