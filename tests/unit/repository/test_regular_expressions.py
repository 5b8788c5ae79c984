"""No regular expression of ours can be kept busy by the text it is applied to."""

import re
from pathlib import Path

import pytest

from tests.regexes import Found, found_in, slow_on

ROOT = Path(__file__).parents[3]
FOUND = [
    found
    for folder in ("autobot", "deployments", "scripts")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if "node_modules" not in file.parts
    for found in found_in(file, ROOT)
]


@pytest.mark.parametrize("found", FOUND, ids=[found.where for found in FOUND])
def test_a_pattern_takes_any_text_in_linear_time(found: Found) -> None:
    assert found.pattern is not None, "a pattern that is made as the program runs cannot be tried"
    attack = slow_on(found.pattern, found.flags, found.methods)
    assert attack is None, f"{found.where} {found.pattern!r} is too slow on {attack}"


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?is)<(script|style|noscript|template|head)\b.*?</\1\s*>",
        r"\s+$",
        r"(a?|b?)*c",
        r"(a+)+$",
        r"\[([\w-]+)(?:=([^\]]*))?\]",
        r"a.*b.*c",
        r"\n\s*\n\s*x",
        r"(\w+\s?)*!",
    ],
)
def test_patterns_that_are_known_to_be_slow_are_found_out(pattern: str) -> None:
    assert slow_on(pattern) is not None


@pytest.mark.parametrize("pattern", [r"\w+|[^\w\s]", r"^a+b", r"\d[\d.,:]*\d|\w+", r"//[^/@\s]+@"])
def test_patterns_that_are_linear_are_not(pattern: str) -> None:
    assert slow_on(pattern) is None


def test_every_use_of_regular_expressions_is_seen() -> None:
    said = re.compile(r"\bre\.(?:compile|match|fullmatch|search|findall|finditer|subn?|split)\(")
    files = {found.where.partition(":")[0] for found in FOUND}
    for folder in ("autobot", "deployments", "scripts"):
        for file in (ROOT / folder).rglob("*.py"):
            name = str(file.relative_to(ROOT))
            text = file.read_text()
            assert name in files or not said.search(text), name
            assert "import re as" not in text, f"{name}: under another name it is not seen here"
            assert "from re import" not in text, f"{name}: under another name it is not seen here"
