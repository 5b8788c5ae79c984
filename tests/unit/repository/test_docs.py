"""What the documentation names is there: paths, files, pages and headings."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
IN_THE_REPOSITORY = re.compile(r"(autobot|deployments|tests|scripts|docs)/")
MODULE = re.compile(r"[\w/*<>-]+\.py")
MERGE = re.compile(r"^(<<<<<<< |=======$|>>>>>>> )", re.MULTILINE)
NOT_OURS = {"my.py": "a program of the reader's", "replica.py": "Ray Serve's"}
MODULES = {
    f"/{file.relative_to(ROOT)}"
    for top in ("autobot", "deployments", "tests", "scripts")
    for file in (ROOT / top).rglob("*.py")
}


def words(text: str) -> Iterator[str]:
    """Each word in backticks, without what a sentence or a command puts behind it."""
    for paragraph in re.split(r"\n\s*\n", FENCED.sub("", text)):
        for code in CODE.finditer(paragraph):
            for word in code[2].split():
                yield re.sub(r"(::\w+|:\d+)$", "", word.rstrip(".,;:)"))


def as_globs(word: str) -> Iterator[str]:
    """The patterns of a path with <placeholders> and {several,names}."""
    word = re.sub(r"<[^<>]*>", "*", word)
    several = re.search(r"\{([^{}]*)\}", word)
    if several is None:
        yield word
        return
    for name in several[1].split(","):
        yield from as_globs(word[: several.start()] + name + word[several.end() :])


def missing(page: Path) -> list[str]:
    """What a page names and the repository lacks."""
    found: list[str] = []
    for word in words(page.read_text()):
        for glob in as_globs(word):
            if IN_THE_REPOSITORY.match(glob):
                there = any(ROOT.glob(glob.rstrip("/")))
            elif MODULE.fullmatch(glob) and glob not in NOT_OURS and "*" not in glob:
                there = any(module.endswith(f"/{glob}") for module in MODULES)
            else:
                continue
            if not there:
                found.append(word)
    return found


def anchors(page: Path) -> set[str]:
    """The names that a forge gives a page's headings."""
    titles = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_backticks_exists(page: Path) -> None:
    assert missing(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        if re.match(r"\w+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_marks_of_a_merge(page: Path) -> None:
    assert not MERGE.search(page.read_text())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("see `autobot/nothing.py`.", ["autobot/nothing.py"]),
        ("`pytest -m drill tests/unit/nothing\ntests/unit`", ["tests/unit/nothing"]),
        ("`autobot/cli/nothing*.py` and `deployments/<room>/app.py`", ["autobot/cli/nothing*.py"]),
        ("`deployments/{llm,npu}/app.py`", []),
        ("`tests/unit/repository/test_docs.py::test_x`, `deployments/npu/app.py:12`", []),
        ("`nothing.py`, `batcher.py`, `egress/policy.py`", ["nothing.py"]),
        ("`autobot/keys.py` is no page: `/docs/x`, `docs`", []),
        ("```\n`autobot/nothing.py`\n```\n", []),
    ],
)
def test_the_search_finds_what_is_missing_and_nothing_else(
    tmp_path: Path, text: str, named: list[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert missing(page) == named


def test_headings_have_the_names_that_a_forge_gives_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Room `npu`: one model\n\n## What is open\n\n```\n# no heading\n```\n")
    assert anchors(page) == {"room-npu-one-model", "what-is-open"}


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = set(LINK.findall((folder / "README.md").read_text()))
    assert index >= {page.name for page in folder.glob("*.md")} - {"README.md"}
